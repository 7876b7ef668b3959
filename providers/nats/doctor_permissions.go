package nats

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	natsgo "github.com/nats-io/nats.go"

	"fairlead.dev"
	"fairlead.dev/providers"
)

// right is one permission that docs/providers/nats.md lists, with subjects on which a
// diagnosis tries it. No stream, service or subscription has these subjects.
type right struct {
	subscribe bool
	allow     string // the subject in the configuration of the server
	facets    []fairlead.Facet
	tries     []string
	optional  string // what is lost without it, if it is not needed
}

var stored = []fairlead.Facet{fairlead.KV, fairlead.PubSub}

// apiSubjects are the requests to JetStream that the provider makes; % is a stream.
const apiSubjects = `INFO STREAM.CREATE.% STREAM.INFO.% STREAM.UPDATE.% STREAM.DELETE.% STREAM.NAMES STREAM.PURGE.%
	STREAM.MSG.GET.% STREAM.MSG.DELETE.% DIRECT.GET.% DIRECT.GET.%.x CONSUMER.CREATE.%.x CONSUMER.INFO.%.x
	CONSUMER.DELETE.%.x CONSUMER.LIST.% CONSUMER.MSG.NEXT.%.x`

// rights returns the permissions that the provider needs.
func (i *inspection) rights() []right {
	name := dotless(i.trial.Name)
	subject := func(kind string) string { return i.config.prefix + "." + kind + "." + name + ".x" }
	inbox := natsgo.NewInbox()
	var requests []string
	for _, s := range strings.Fields(apiSubjects) {
		requests = append(requests, apiPrefix+strings.ReplaceAll(s, "%", i.streamName(kindKV, name)))
	}
	return []right{
		{false, "$JS.API.>", stored, requests, ""},
		{false, "$JS.ACK.>", []fairlead.Facet{fairlead.PubSub}, []string{"$JS.ACK." + i.streamName("ps", name) + ".x.1.1.1.1.0"}, ""},
		{false, i.config.prefix + ".>", fairlead.Facets(), []string{subject("kv"), subject("kvd"), subject("ps"), subject("rpc")}, ""},
		{false, "_INBOX.>", fairlead.Facets(), []string{inbox}, ""},
		{true, "_INBOX.>", fairlead.Facets(), []string{inbox}, ""},
		{true, i.config.prefix + ".rpc.>", []fairlead.Facet{fairlead.RPC}, []string{subject("rpc")}, ""},
		{true, i.config.prefix + ".kvd.>", []fairlead.Facet{fairlead.KV}, []string{subject("kvd")},
			"a watcher learns of a key that was deleted on a full server only when the server has room again"},
	}
}

// checkPermissions publishes to, and subscribes to, subjects that nobody has. JetStream
// answers no request without a reply subject.
func (i *inspection) checkPermissions(ctx context.Context) (found []providers.Finding) {
	lacks := map[bool][]string{} // by whether it is about subscribing
	var seen []string
	for _, r := range i.rights() {
		if !slices.ContainsFunc(r.facets, i.trial.Wants) {
			continue
		}
		denied, err := i.deniedOf(ctx, r)
		switch {
		case err != nil:
			return providers.ProblemOf(mapErr(err, false), "")
		case len(denied) == 0:
			continue
		case r.optional != "":
			found = append(found, providers.Finding{Status: providers.CheckWarning, Subject: "optional",
				Seen: "without " + r.action() + " " + r.allow + ", " + r.optional, Fix: i.grantFix(map[bool][]string{r.subscribe: {r.allow}})})
			continue
		}
		lacks[r.subscribe] = append(lacks[r.subscribe], r.allow)
		seen = append(seen, fmt.Sprintf("%s: the user may not %s %s", facetNames(r.facets), r.action(), deniedText(r.allow, denied, len(r.tries))))
	}
	if len(seen) > 0 {
		problem := providers.Finding{Status: providers.CheckProblem, Seen: strings.Join(seen, "\n"), Fix: i.grantFix(lacks)}
		return append([]providers.Finding{problem}, found...)
	}
	ok := providers.Finding{Status: providers.CheckOK, Seen: "all subjects that are needed may be published and subscribed to"}
	return append([]providers.Finding{ok}, found...)
}

func (r right) action() string {
	if r.subscribe {
		return "subscribe to"
	}
	return "publish to"
}

// deniedText names the subjects that are denied: the pattern if none of them is allowed.
func deniedText(allow string, denied []string, tried int) string {
	if len(denied) == tried {
		return allow
	}
	return allow + " (for example " + denied[0] + ")"
}

func facetNames(facets []fairlead.Facet) string {
	if len(facets) == len(fairlead.Facets()) {
		return "every facet"
	}
	var names []string
	for _, f := range facets {
		names = append(names, string(f))
	}
	return strings.Join(names, ", ")
}

// deniedOf returns the subjects that the server denies.
func (i *inspection) deniedOf(ctx context.Context, r right) (denied []string, err error) {
	for _, subject := range r.tries {
		no, err := i.isDenied(ctx, r.subscribe, subject)
		if err != nil {
			return nil, err
		}
		if no {
			denied = append(denied, subject)
		}
	}
	return denied, nil
}

// isDenied tries one subject. The server says that it denies it before it answers what
// comes after.
func (i *inspection) isDenied(ctx context.Context, subscribe bool, subject string) (bool, error) {
	violation := "for publish to "
	if subscribe {
		violation = "for subscription to "
		sub, err := i.nc.SubscribeSync(subject)
		if err != nil {
			return false, err
		}
		defer func() { _ = sub.Unsubscribe() }()
	} else if err := i.nc.Publish(subject, nil); err != nil {
		return false, err
	}
	if err := i.nc.FlushWithContext(ctx); err != nil {
		return false, err
	}
	last := i.nc.LastError() // it stays, until there is another one
	return errors.Is(last, natsgo.ErrPermissionViolation) && strings.Contains(strings.ToLower(last.Error()), strings.ToLower(violation+`"`+subject+`"`)), nil
}

// grantFix says what the configuration of the server has to have.
func (i *inspection) grantFix(lacks map[bool][]string) string {
	user := "this user"
	if i.config.user != "" {
		user = "the user " + i.config.user
	}
	var parts, flags []string
	for subscribe, name := range map[bool]string{false: "publish", true: "subscribe"} {
		if len(lacks[subscribe]) == 0 {
			continue
		}
		parts = append(parts, name+": { allow: [\""+strings.Join(lacks[subscribe], "\", \"")+"\"] }")
		for _, subject := range lacks[subscribe] {
			flags = append(flags, fmt.Sprintf("--allow-%s '%s'", name[:3], subject))
		}
	}
	slices.Sort(parts)
	slices.Sort(flags)
	return fmt.Sprintf("in the server's configuration, add permissions { %s } to %s, and remove a deny of these subjects; or, with JWTs, nsc edit user %s",
		strings.Join(parts, ", "), user, strings.Join(flags, " "))
}
