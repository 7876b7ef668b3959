package gocloud

import (
	"context"
	"net/url"
	"slices"
	"strings"
	"time"

	"gocloud.dev/docstore"
	"gocloud.dev/pubsub"
	"gocloud.dev/runtimevar"

	"fairlead.dev"

	"fairlead.dev/providers"
)

// trait is what is known of a driver of gocloud.dev that is not taught to the
// bridge by a [Driver], and cannot be asked.
type trait struct {
	ackDeadline time.Duration // the backend's own, as it is set by default
	maxMessage  int
	requeues    bool // closing gives back; it has no Nack
	ordered     bool // docstore: orders by the key
}

// traits are by scheme. None of these drivers has been run against its backend
// by the tests of this project.
var traits = map[string]trait{
	"awssqs":    {ackDeadline: 30 * time.Second, maxMessage: 250_000},
	"awssns":    {maxMessage: 250_000},
	"gcppubsub": {ackDeadline: 10 * time.Second, maxMessage: 9_000_000},
	"azuresb":   {ackDeadline: 30 * time.Second, maxMessage: 250_000},
	// Kafka gives back what a consumer held when that is gone, not before.
	"kafka": {ackDeadline: 24 * time.Hour, maxMessage: 1_000_000, requeues: true},
	"mongo": {ordered: true},
}

// linkedDriver returns a driver for a scheme that a linked package registered
// with gocloud.dev. Where things are is said by templates of its URLs.
func linkedDriver(scheme string) (Driver, bool) {
	return Driver{
		Scheme: scheme,
		Help:   "the driver " + scheme + " of gocloud.dev, untested, found by templates of URLs: gocloud+" + scheme + "://?" + exampleOf(scheme) + "…",
		Settings: []providers.Setting{
			{Name: "topic", Kind: providers.String, Help: "gocloud.dev URL of a topic, with {topic} where its name goes"},
			{Name: "subscription", Kind: providers.String, Help: "gocloud.dev URL of a subscription, with {topic} and {group}; it has to exist"},
			{Name: "collection", Kind: providers.String, Help: "gocloud.dev URL of a collection whose key field is \"" + KeyField + "\", with {store}"},
			{Name: "variable", Kind: providers.String, Help: "gocloud.dev URL of a variable, with {name} and decoder=bytes"},
			{Name: "ack-deadline", Kind: providers.Duration, Min: int64(time.Second),
				Help: "what the backend's own acknowledgement deadline (visibility time-out) is set to; default: the backend's default"},
			FormatSetting(), DurableSetting(),
		},
		Open: func(_ context.Context, s providers.Settings) (*Backend, error) { return openLinked(scheme, s) },
	}, slices.Contains(linkedSchemes(), scheme)
}

// linkedSchemes are those of all drivers of gocloud.dev that are linked.
func linkedSchemes() []string {
	all := slices.Concat(pubsub.DefaultURLMux().TopicSchemes(), pubsub.DefaultURLMux().SubscriptionSchemes(),
		docstore.DefaultURLMux().CollectionSchemes(), runtimevar.DefaultURLMux().VariableSchemes())
	slices.Sort(all)
	return slices.Compact(all)
}

// exampleOf is the beginning of a template for a scheme.
func exampleOf(scheme string) string {
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
		return nil, fairlead.Errorf(fairlead.Invalid, "a URL of this scheme has parameters alone; write gocloud+%s://?topic=…&subscription=…", scheme)
	}
	b := &Backend{
		System: scheme, Shared: true, Durable: s.String("durable"),
		Notes: []string{"this driver of gocloud.dev is not run by the tests of Fairlead; topics, subscriptions and collections have to exist"},
	}
	if s.Given("topic") != s.Given("subscription") {
		return nil, fairlead.Errorf(fairlead.Invalid, "\"topic\" and \"subscription\" belong together; one of them is missing")
	}
	if err := checkTemplates(s); err != nil {
		return nil, err
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
		return nil, fairlead.Errorf(fairlead.Invalid, "the URL says of nothing where it is; give \"topic\" and \"subscription\", \"collection\" or \"variable\"")
	}
	return b, nil
}

// places are the names that a template must hold, so that different things
// are in different places.
var places = map[string][]string{
	"topic":        {"{topic}"},
	"subscription": {"{topic}", "{group}"},
	"collection":   {"{store}"},
	"variable":     {"{name}"},
}

func checkTemplates(s providers.Settings) error {
	for setting, names := range places {
		for _, name := range names {
			if s.Given(setting) && !strings.Contains(s.String(setting), name) {
				return fairlead.Errorf(fairlead.Invalid, "parameter %q has no %s, and would be the same for all", setting, name)
			}
		}
	}
	return nil
}

// fill puts names, which are safe in a URL, into a template.
func fill(template string, namesAndValues ...string) string {
	return strings.NewReplacer(namesAndValues...).Replace(template)
}

func schemeOf(template string) string {
	scheme, _, _ := strings.Cut(template, "://")
	return scheme
}

func linkedPubSub(s providers.Settings) (*PubSub, error) {
	topicURL, feedURL := s.String("topic"), s.String("subscription")
	feeds := traits[schemeOf(feedURL)]
	deadline := s.Duration("ack-deadline")
	if deadline == 0 {
		deadline = feeds.ackDeadline
	}
	if deadline == 0 {
		return nil, fairlead.Errorf(fairlead.Invalid, "parameter \"ack-deadline\" is missing: say after how long the backend gives a message to another consumer, which is not known of this driver")
	}
	return &PubSub{
		OpenTopic: func(ctx context.Context, name string) (*Topic, error) {
			t, err := pubsub.OpenTopic(ctx, fill(topicURL, "{topic}", name))
			if err != nil {
				return nil, hideURL(err)
			}
			return &Topic{Topic: t, Close: t.Shutdown}, nil
		},
		OpenFeed: func(ctx context.Context, topic, group string) (*Feed, error) {
			f, err := pubsub.OpenSubscription(ctx, fill(feedURL, "{topic}", topic, "{group}", group))
			if err != nil {
				return nil, hideURL(err)
			}
			return &Feed{Subscription: f, Requeues: feeds.requeues}, nil
		},
		MaxMessageBytes: traits[schemeOf(topicURL)].maxMessage,
		AckDeadline:     deadline,
	}, nil
}

func linkedDocs(s providers.Settings) *Docs {
	template := s.String("collection")
	return &Docs{
		OpenCollection: func(ctx context.Context, name string) (*docstore.Collection, error) {
			c, err := docstore.OpenCollection(ctx, fill(template, "{store}", name))
			return c, hideURL(err)
		},
		Close:   (*docstore.Collection).Close,
		Ordered: traits[schemeOf(template)].ordered,
	}
}

func linkedVars(s providers.Settings) *Vars {
	template := s.String("variable")
	return &Vars{
		Format: Format(s.String("format")),
		OpenVariable: func(ctx context.Context, name string) (*runtimevar.Variable, error) {
			v, err := runtimevar.OpenVariable(ctx, fill(template, "{name}", name))
			return v, hideURL(err)
		},
	}
}

// hideURL keeps an error of gocloud.dev that repeats the URL, with what may be
// a password, from being shown.
func hideURL(err error) error {
	if err == nil {
		return nil
	}
	text := err.Error()
	for word := range strings.FieldsSeq(text) {
		if u, e := url.Parse(strings.Trim(word, `":,`)); e == nil && u.User != nil {
			text = strings.ReplaceAll(text, u.User.String()+"@", "")
		}
	}
	return fairlead.Errorf(fairlead.CodeOf(failed(err)), "%s", text)
}
