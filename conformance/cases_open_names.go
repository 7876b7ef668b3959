package conformance

import (
	"context"
	"fmt"
	"strings"

	"fairlead.dev"
	"fairlead.dev/config"
	"fairlead.dev/kv"
	"fairlead.dev/pubsub"
)

func init() { suites = append(suites, openNames) }

// openNames is which names are accepted and that each is another thing.
var openNames = []Case{
	{
		Name: "open/bad-names", Facet: Opening,
		Rule: "names that are empty, too long, or have other characters than A–Z a–z 0–9 . _ - are Invalid, and the error says so; one that has all of these works",
		Run: func(t *T) {
			for _, u := range t.users() {
				for _, name := range badNames {
					t.badName(u, name)
				}
				if err := t.open(u, t.Name()+"Az.0_-"); err != nil {
					t.Errorf("%s: a name of all accepted kinds of characters: %v", u.facet, err)
				}
			}
		},
	},
	{
		Name: "kv/names", Facet: fairlead.KV,
		Rule: "stores whose names differ in case, in punctuation or by a suffix are different stores",
		Run: func(t *T) {
			distinct(t, func(name string) (*kv.Store, error) { return kv.Open(t.ctx, t.Provider(), name) },
				func(s *kv.Store, text string) error { _, err := s.Put(t.ctx, "k", []byte(text)); return err },
				func(s *kv.Store) (string, error) { e, err := s.Get(t.ctx, "k"); return string(e.Value), err })
		},
	},
	{
		Name: "config/names", Facet: fairlead.Config, Needs: []fairlead.Claim{config.Write},
		Rule: "settings whose names differ in case, in punctuation or by a suffix are different settings",
		Run: func(t *T) {
			distinct(t, func(name string) (*config.Source, error) { return config.Open(t.ctx, t.Provider(), name) },
				func(s *config.Source, text string) error {
					_, err := s.Set(t.ctx, config.Put("k", []byte(text)))
					return err
				},
				func(s *config.Source) (string, error) { v, err := s.Get(t.ctx, "k"); return string(v.Data), err })
		},
	},
	{
		Name: "pubsub/names", Facet: fairlead.PubSub,
		Rule: "topics whose names differ in case, in punctuation or by a suffix are different topics",
		Run: func(t *T) {
			distinct(t, t.ownTopic,
				func(o *ownTopic, text string) error {
					_, err := o.topic.Publish(t.ctx, pubsub.Message{Body: []byte(text)})
					return err
				},
				func(o *ownTopic) (string, error) { return o.receive(t.Within(t.Patience())) })
		},
	},
}

var badNames = []string{
	"", strings.Repeat("n", 129), "a/b", "a b", ".a", "-a", "_a", "naïve", "a\x00", "a\n", "a*", "a:b", "{a}", "..",
}

func (t *T) badName(u user, name string) {
	err := t.open(u, name)
	t.WantCode(fmt.Sprintf("%s: opening the name %.20q", u.facet, name), err, fairlead.Invalid)
	if err != nil && !strings.Contains(err.Error(), "letter or digit") {
		t.Errorf("%s: the error %q for the name %.20q does not say which characters are accepted", u.facet, err, name)
	}
}

// open opens a name and closes what it opened.
func (t *T) open(u user, name string) error {
	o, err := u.open(t.ctx, t.Provider(), name)
	if err == nil {
		err = o.close(t.ctx)
	}
	return err
}

// longName returns a name of 128 characters, which is the longest.
func longName(name string) string {
	return name + strings.Repeat("x", 128-len(name))
}

// distinct opens names that are alike, writes to each its own name, and
// demands to read back just that.
func distinct[H interface {
	Close(context.Context) error
}](t *T, open func(name string) (H, error), write func(H, string) error, read func(H) (string, error)) {
	base := t.Name()
	var handles []H
	names := []string{base, base + "A", base + "a", base + ".", base + "_", base + "-", base + "-1", base + ".1", longName(base)}
	for _, name := range names {
		h, err := open(name)
		if err != nil {
			t.Fatalf("opening %q: %v", name, err)
		}
		t.Cleanup(h.Close)
		handles = append(handles, h)
	}
	for i, h := range handles {
		t.Must(write(h, names[i]))
	}
	for i, h := range handles {
		if got, err := read(h); err != nil || got != names[i] {
			t.Errorf("under the name %q: read %q, %v; want what was written there", names[i], got, err)
		}
	}
}

// ownTopic is a topic with a subscription by a group of its own: two that are
// in truth one topic see the messages of both.
type ownTopic struct {
	topic *pubsub.Topic
	sub   *pubsub.Subscription
}

func (t *T) ownTopic(name string) (*ownTopic, error) {
	topic, err := pubsub.Open(t.ctx, t.Provider(), name)
	if err != nil {
		return nil, err
	}
	sub, err := pubsub.Subscribe(t.ctx, t.Provider(), name, pubsub.Group(t.Name()))
	if err != nil {
		_ = topic.Close(t.ctx)
		return nil, err
	}
	return &ownTopic{topic, sub}, nil
}

func (o *ownTopic) receive(ctx context.Context) (string, error) {
	d, err := o.sub.Receive(ctx)
	if err != nil {
		return "", err
	}
	return string(d.Body), d.Ack(ctx)
}

func (o *ownTopic) Close(ctx context.Context) error {
	return firstError(o.sub.Close(ctx), o.topic.Close(ctx))
}
