package gocloud

import (
	"context"
	"maps"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"gocloud.dev/docstore"
	"gocloud.dev/pubsub"
	"gocloud.dev/runtimevar"

	"fairlead.dev"

	"fairlead.dev/providers"
)

// driverProperties describes a driver of gocloud.dev that has no [Driver].
// gocloud.dev cannot report these properties.
type driverProperties struct {
	ackDeadline time.Duration // of the backend, by default
	maxMessage  int
	requeues    bool // Shutdown gives messages back; the driver has no Nack
	ordered     bool // docstore: queries are ordered by the key
}

// propertiesByScheme has the documented properties of drivers. The tests of this
// project run none of these drivers against its backend.
var propertiesByScheme = map[string]driverProperties{
	"awssqs":    {ackDeadline: 30 * time.Second, maxMessage: 250_000},
	"awssns":    {maxMessage: 250_000},
	"gcppubsub": {ackDeadline: 10 * time.Second, maxMessage: 9_000_000},
	"azuresb":   {ackDeadline: 30 * time.Second, maxMessage: 250_000},
	// Kafka delivers the messages of a consumer again only when the consumer is gone.
	"kafka": {ackDeadline: 24 * time.Hour, maxMessage: 1_000_000, requeues: true},
	"mongo": {ordered: true},
}

// linkedDriver returns a driver for a scheme that a linked package registered
// with gocloud.dev. Templates of gocloud.dev URLs say where topics, collections
// and variables are.
func linkedDriver(scheme string) (Driver, bool) {
	return Driver{
		Scheme: scheme,
		Help:   "the driver " + scheme + " of gocloud.dev, untested, with templates of its URLs: gocloud+" + scheme + "://?" + exampleTemplate(scheme) + "…",
		Settings: []providers.Setting{
			{Name: "topic", Kind: providers.String, Help: "gocloud.dev URL of a topic, with {topic} in place of its name"},
			{Name: "subscription", Kind: providers.String, Help: "gocloud.dev URL of a subscription, with {topic} and {group}; the subscription has to exist"},
			{Name: "collection", Kind: providers.String, Help: "gocloud.dev URL of a collection whose key field is \"" + KeyField + "\", with {store}"},
			{Name: "variable", Kind: providers.String, Help: "gocloud.dev URL of a variable, with {name} and decoder=bytes"},
			{Name: "ack-deadline", Kind: providers.Duration, Min: int64(minAckDeadline),
				Help: "the backend's own acknowledgement deadline (visibility timeout), if it is not the default of the backend"},
			FormatSetting(), DurableSetting(),
		},
		Open: func(_ context.Context, s providers.Settings) (*Backend, error) { return openLinked(scheme, s) },
	}, slices.Contains(linkedSchemes(), scheme)
}

// linkedSchemes returns the schemes of all linked drivers of gocloud.dev.
func linkedSchemes() []string {
	all := slices.Concat(pubsub.DefaultURLMux().TopicSchemes(), pubsub.DefaultURLMux().SubscriptionSchemes(),
		docstore.DefaultURLMux().CollectionSchemes(), runtimevar.DefaultURLMux().VariableSchemes())
	slices.Sort(all)
	return slices.Compact(all)
}

// exampleTemplate returns the beginning of a template for a scheme.
func exampleTemplate(scheme string) string {
	switch {
	case slices.Contains(docstore.DefaultURLMux().CollectionSchemes(), scheme):
		return "collection=" + scheme + "://…{store}"
	case slices.Contains(runtimevar.DefaultURLMux().VariableSchemes(), scheme):
		return "variable=" + scheme + "://…{name}"
	default:
		return "topic=" + scheme + "://…{topic}"
	}
}

func openLinked(scheme string, s providers.Settings) (*Backend, error) {
	if s.URL.Host != "" || s.URL.User != nil || (s.URL.Path != "" && s.URL.Path != "/") {
		return nil, fairlead.Errorf(fairlead.Invalid, "a URL of this scheme has only settings; use gocloud+%s://?topic=…&subscription=…", scheme)
	}
	b := &Backend{
		System: scheme, Shared: true, Durable: s.String("durable"),
		Notes: []string{"the tests of Fairlead do not run this driver of gocloud.dev; topics, subscriptions and collections have to exist"},
	}
	if s.Given("topic") != s.Given("subscription") {
		return nil, fairlead.Errorf(fairlead.Invalid, "\"topic\" and \"subscription\" belong together; give both or none")
	}
	if err := checkTemplates(s); err != nil {
		return nil, err
	}
	if b.Durable != "none" {
		if t, ok := volatileTemplate(s); ok {
			return nil, fairlead.Errorf(fairlead.Invalid, "setting \"durable\" asserts %s, but %q keeps its data in this process; leave it out", b.Durable, t)
		}
		b.Notes = append(b.Notes, "durability is asserted by the operator (durable="+b.Durable+"), not verified")
	}
	if s.Given("topic") {
		ps, err := linkedPubSub(s)
		if err != nil {
			return nil, err
		}
		b.PubSub = ps
	}
	if s.Given("collection") {
		b.Docs = linkedDocs(s)
	}
	if s.Given("variable") {
		b.Vars = linkedVars(s)
	}
	if b.PubSub == nil && b.Docs == nil && b.Vars == nil {
		return nil, fairlead.Errorf(fairlead.Invalid, "the URL names no topic, collection or variable; give \"topic\" and \"subscription\", \"collection\" or \"variable\"")
	}
	return b, nil
}

// requiredPlaceholders are the placeholders that a template must contain, so
// that different names have different URLs.
var requiredPlaceholders = map[string][]string{
	"topic":        {"{topic}"},
	"subscription": {"{topic}", "{group}"},
	"collection":   {"{store}"},
	"variable":     {"{name}"},
}

func checkTemplates(s providers.Settings) error {
	for setting, names := range requiredPlaceholders {
		for _, name := range names {
			if s.Given(setting) && !strings.Contains(s.String(setting), name) {
				return fairlead.Errorf(fairlead.Invalid, "setting %q does not contain %s, so all names would have the same URL", setting, name)
			}
		}
	}
	return nil
}

// volatileTemplate returns the setting whose template is a URL of a driver that keeps
// its data in this process.
func volatileTemplate(s providers.Settings) (setting string, ok bool) {
	for _, setting := range slices.Sorted(maps.Keys(requiredPlaceholders)) {
		if s.Given(setting) && slices.Contains([]string{"mem", "constant"}, schemeOf(s.String(setting))) {
			return setting, true
		}
	}
	return "", false
}

// expandTemplate replaces the placeholders of a template by names, which are
// safe in a URL.
func expandTemplate(template string, namesAndValues ...string) string {
	return strings.NewReplacer(namesAndValues...).Replace(template)
}

func schemeOf(template string) string {
	scheme, _, _ := strings.Cut(template, "://")
	return scheme
}

func linkedPubSub(s providers.Settings) (*PubSub, error) {
	topicURL, subscriptionURL := s.String("topic"), s.String("subscription")
	properties := propertiesByScheme[schemeOf(subscriptionURL)]
	deadline := s.Duration("ack-deadline")
	if deadline == 0 {
		deadline = properties.ackDeadline
	}
	if deadline == 0 {
		return nil, fairlead.Errorf(fairlead.Invalid, "setting \"ack-deadline\" is missing: the backend's own acknowledgement deadline is not known for this driver")
	}
	return &PubSub{
		OpenTopic: func(ctx context.Context, name string) (*Topic, error) {
			at := expandTemplate(topicURL, "{topic}", name)
			t, err := pubsub.OpenTopic(ctx, at)
			if err != nil {
				return nil, redactURL(err, at)
			}
			return &Topic{Topic: t, Close: t.Shutdown}, nil
		},
		OpenSubscription: func(ctx context.Context, topic, group string) (*Subscription, error) {
			at := expandTemplate(subscriptionURL, "{topic}", topic, "{group}", group)
			f, err := pubsub.OpenSubscription(ctx, at)
			if err != nil {
				return nil, redactURL(err, at)
			}
			return &Subscription{Subscription: f, Requeues: properties.requeues}, nil
		},
		MaxMessageBytes: propertiesByScheme[schemeOf(topicURL)].maxMessage,
		AckDeadline:     deadline,
	}, nil
}

func linkedDocs(s providers.Settings) *Docs {
	template := s.String("collection")
	return &Docs{
		OpenCollection: func(ctx context.Context, name string) (*docstore.Collection, error) {
			at := expandTemplate(template, "{store}", name)
			c, err := docstore.OpenCollection(ctx, at)
			return c, redactURL(err, at)
		},
		Close:   (*docstore.Collection).Close,
		Ordered: propertiesByScheme[schemeOf(template)].ordered,
	}
}

func linkedVars(s providers.Settings) *Vars {
	template := s.String("variable")
	return &Vars{
		Format: Format(s.String("format")),
		OpenVariable: func(ctx context.Context, name string) (*runtimevar.Variable, error) {
			at := expandTemplate(template, "{name}", name)
			v, err := runtimevar.OpenVariable(ctx, at)
			return v, redactURL(err, at)
		},
	}
}

// redactURL returns an error without the credentials of the URL that was opened,
// which drivers of gocloud.dev repeat in many forms.
func redactURL(err error, opened string) error {
	if err == nil {
		return nil
	}
	code := fairlead.CodeOf(convertError(err))
	u, parseErr := url.Parse(opened)
	if parseErr != nil || strings.Contains(u.Path+u.Fragment, "@") { // a password that is not escaped
		return fairlead.Errorf(fairlead.Invalid, "the %s:// URL of the template cannot be parsed; escape reserved characters of names, passwords and values, twice where they are part of a setting", schemeOf(opened))
	}
	text := err.Error()
	for _, secret := range secretsOf(u) {
		text = strings.ReplaceAll(text, secret, "…")
	}
	return fairlead.Errorf(code, "%s", text)
}

// secretsOf returns the parts of a URL that may be secret, in the forms in which a text
// has them; the longest first. The values of its query are among them.
func secretsOf(u *url.URL) (secrets []string) {
	add := func(text string) {
		quoted := strings.Trim(strconv.Quote(text), `"`)
		for _, form := range []string{text, quoted, url.QueryEscape(text), url.PathEscape(text), url.UserPassword("", text).String()[1:]} {
			if form != "" {
				secrets = append(secrets, form)
			}
		}
	}
	if u.User != nil {
		add(u.User.String())
		if password, ok := u.User.Password(); ok {
			add(password)
		} else {
			add(u.User.Username()) // a token
		}
	}
	add(u.RawQuery)
	for _, values := range u.Query() {
		for _, v := range values {
			if len(v) > 3 { // a shorter one is a number or a flag, and is found in other words
				add(v)
			}
		}
	}
	slices.SortFunc(secrets, func(a, b string) int { return len(b) - len(a) })
	return secrets
}
