package opencases

import (
	"context"
	"fmt"
	"strings"

	"fairlead.dev"
	"fairlead.dev/config"
	"fairlead.dev/conformance/internal/suite"
	"fairlead.dev/kv"
	"fairlead.dev/pubsub"
)

// nameCases are about the names that are accepted, and that they are separate.
var nameCases = []suite.Case{
	{
		Name: "open/bad-names",
		Rule: "a name that is empty, too long, or has characters other than A–Z a–z 0–9 . _ - is Invalid, and the error says so; a name with all of these characters works",
		Run: func(t *suite.T) {
			for _, u := range offeredUsers(t) {
				for _, name := range badNames {
					badName(t, u, name)
				}
				if err := openAndClose(t, u, t.Name()+"Az.0_-"); err != nil {
					t.Errorf("%s: a name of all accepted kinds of characters: %v", u.facet, err)
				}
			}
		},
	},
	{
		Name: "kv/names",
		Rule: "stores whose names differ in case, in punctuation or by a suffix are different stores",
		Run: func(t *suite.T) {
			wantDistinct(t, func(name string) (*kv.Store, error) { return kv.Open(t.Context(), t.Provider(), name) },
				func(s *kv.Store, text string) error { _, err := s.Put(t.Context(), "k", []byte(text)); return err },
				func(s *kv.Store) (string, error) { e, err := s.Get(t.Context(), "k"); return string(e.Value), err })
		},
	},
	{
		Name: "config/names", Needs: []fairlead.Claim{config.Write},
		Rule: "settings whose names differ in case, in punctuation or by a suffix are different settings",
		Run: func(t *suite.T) {
			wantDistinct(t, func(name string) (*config.Source, error) { return config.Open(t.Context(), t.Provider(), name) },
				func(s *config.Source, text string) error {
					_, err := s.Set(t.Context(), config.Put("k", []byte(text)))
					return err
				},
				func(s *config.Source) (string, error) { v, err := s.Get(t.Context(), "k"); return string(v.Data), err })
		},
	},
	{
		Name: "pubsub/names",
		Rule: "topics whose names differ in case, in punctuation or by a suffix are different topics",
		Run: func(t *suite.T) {
			wantDistinct(t, func(name string) (*privateTopic, error) { return openPrivateTopic(t, name) },
				func(o *privateTopic, text string) error {
					_, err := o.topic.Publish(t.Context(), pubsub.Message{Body: []byte(text)})
					return err
				},
				func(o *privateTopic) (string, error) { return o.receive(t.Within(t.Patience())) })
		},
	},
}

var badNames = []string{
	"", strings.Repeat("n", 129), "a/b", "a b", ".a", "-a", "_a", "naïve", "a\x00", "a\n", "a*", "a:b", "{a}", "..",
}

func badName(t *suite.T, u user, name string) {
	err := openAndClose(t, u, name)
	t.WantCode(fmt.Sprintf("%s: opening the name %.20q", u.facet, name), err, fairlead.Invalid)
	if err != nil && !strings.Contains(err.Error(), "letter or digit") {
		t.Errorf("%s: the error %q for the name %.20q does not say which characters are accepted", u.facet, err, name)
	}
}

// openAndClose opens a name and closes what it opened.
func openAndClose(t *suite.T, u user, name string) error {
	o, err := u.open(t.Context(), t.Provider(), name)
	if err == nil {
		err = o.close(t.Context())
	}
	return err
}

// wantDistinct opens similar names, writes to each its own name, and demands to
// read the same name there.
func wantDistinct[H interface {
	Close(context.Context) error
}](t *suite.T, open func(name string) (H, error), write func(H, string) error, read func(H) (string, error)) {
	base := t.Name()
	var handles []H
	names := []string{base, base + "A", base + "a", base + ".", base + "_", base + "-", base + "-1", base + ".1", suite.LongName(base)}
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
			t.Errorf("under the name %q: read %q, %v; want the name itself", names[i], got, err)
		}
	}
}

// privateTopic is a topic with a subscription by a group of its own. If two names
// are one topic, each sees the messages of both.
type privateTopic struct {
	topic *pubsub.Topic
	sub   *pubsub.Subscription
}

func openPrivateTopic(t *suite.T, name string) (*privateTopic, error) {
	topic, err := pubsub.Open(t.Context(), t.Provider(), name)
	if err != nil {
		return nil, err
	}
	sub, err := pubsub.Subscribe(t.Context(), t.Provider(), name, pubsub.Group(t.Name()))
	if err != nil {
		_ = topic.Close(t.Context())
		return nil, err
	}
	return &privateTopic{topic, sub}, nil
}

func (o *privateTopic) receive(ctx context.Context) (string, error) {
	d, err := o.sub.Receive(ctx)
	if err != nil {
		return "", err
	}
	return string(d.Body), d.Ack(ctx)
}

func (o *privateTopic) Close(ctx context.Context) error {
	return suite.FirstError(o.sub.Close(ctx), o.topic.Close(ctx))
}
