package providers

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"fairlead.dev"
)

func TestLive(t *testing.T) {
	l := NewLive(fairlead.Description{Provider: "p", Notes: []string{"a"}})
	d, err := l.Describe(t.Context())
	if err != nil || d.Generation != 1 {
		t.Fatalf("%+v, %v", d, err)
	}
	d.Notes[0] = "changed by the caller"
	if l.Update(fairlead.Description{Provider: "p", Notes: []string{"a"}}) {
		t.Error("an equal description counts as a change")
	}
	if !l.Update(fairlead.Description{Provider: "p", Notes: []string{"b"}}) {
		t.Error("another description does not count as a change")
	}
	if d, err := l.Await(t.Context(), 1); err != nil || d.Generation != 2 || d.Notes[0] != "b" {
		t.Errorf("Await: %+v, %v", d, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := l.Await(ctx, 2); !errors.Is(err, fairlead.Canceled) {
		t.Errorf("Await, canceled: %v", err)
	}
	if !l.Shut() || l.Shut() {
		t.Error("Shut must be true once")
	}
	if _, err := l.Await(t.Context(), 2); !errors.Is(err, fairlead.Closed) {
		t.Errorf("Await, closed: %v", err)
	}
}

func TestLiveAnnounces(t *testing.T) {
	var text strings.Builder
	log := slog.New(slog.NewTextHandler(&text, nil))
	kv := func(c ...fairlead.Claim) fairlead.Description {
		d := fairlead.Description{Provider: "p", Endpoint: "here"}
		for _, facet := range []fairlead.Facet{fairlead.KV, fairlead.PubSub} {
			d.Facets = append(d.Facets, fairlead.FacetDescription{Facet: facet, Claims: c, Missing: []fairlead.Missing{{Claim: fairlead.DurableFsync, Reason: "fsync is off"}}})
		}
		return d
	}
	l := NewLive(kv(fairlead.DurableFsync))
	for _, step := range []struct {
		d    fairlead.Description
		want []string
	}{
		{kv(fairlead.DurableFsync), nil},
		{kv("kv.CAS"), []string{"level=WARN", "p: a guarantee was lost", "endpoint=here claim=DurableFsync facets=\"[kv pubsub]\"", "fsync is off"}},
		{kv(fairlead.DurableFsync), []string{"level=INFO", "p: a guarantee holds now"}},
	} {
		text.Reset()
		l.Announce(step.d, log)
		for _, want := range step.want {
			if !strings.Contains(text.String(), want) {
				t.Errorf("%q does not hold %q", text.String(), want)
			}
		}
		if lines := strings.Count(text.String(), "\n"); lines != min(len(step.want), 1) {
			t.Errorf("%d lines logged: %q", lines, text.String())
		}
	}
	if d, err := l.Describe(t.Context()); err != nil || d.Generation != 3 {
		t.Errorf("generation %d, %v", d.Generation, err)
	}
}

// A provider that embeds Live shows none of its fields.
func TestAProviderPrintsNoField(t *testing.T) {
	type provider struct {
		*Live
		password string
	}
	live := NewLive(fairlead.Description{Provider: "redis", Endpoint: "127.0.0.1:6379"})
	for _, p := range []*provider{{live, "c4nary"}, {nil, "c4nary"}} {
		var out bytes.Buffer
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x"} {
			fmt.Fprintf(&out, verb, p)
		}
		slog.New(slog.NewTextHandler(&out, nil)).Info("text", "provider", p)
		slog.New(slog.NewJSONHandler(&out, nil)).Info("json", "provider", p)
		if text := out.String(); strings.Contains(text, p.password) || p.Live != nil && strings.Count(text, "provider redis of 127.0.0.1:6379") != 8 {
			t.Errorf("got %s", text)
		}
	}
}
