package providers

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"testing"
	"time"
)

func TestErrorText(t *testing.T) {
	err := Annotate(Errorf(TooLarge, "the key has %d bytes, the limit is %d", 600, 512), "kv.Put", "memory")
	if got := err.Error(); got != "kv.Put: memory: too large: the key has 600 bytes, the limit is 512" {
		t.Error(got)
	}
	if again := Annotate(fmt.Errorf("outer: %w", err), "kv.Get", "redis"); again.Error() != err.Error() {
		t.Errorf("wrapped twice: %v", again)
	}
}

func TestErrorIs(t *testing.T) {
	err := Annotate(Errorf(UnknownOutcome, "no answer: %w", io.ErrUnexpectedEOF), "kv.Put", "redis")
	for target, want := range map[error]bool{
		UnknownOutcome: true, Conflict: false, io.ErrUnexpectedEOF: true, context.Canceled: false,
	} {
		if errors.Is(err, target) != want {
			t.Errorf("errors.Is(%v, %v) is %v", err, target, !want)
		}
	}
	for err, target := range map[error]error{
		Annotate(context.Canceled, "x", ""):         Canceled,
		Annotate(context.DeadlineExceeded, "x", ""): DeadlineExceeded,
		Errorf(Canceled, "from another process"):    context.Canceled,
		Errorf(DeadlineExceeded, "likewise"):        context.DeadlineExceeded,
		Annotate(io.EOF, "x", ""):                   Internal,
	} {
		if !errors.Is(err, target) {
			t.Errorf("errors.Is(%v, %v) is false", err, target)
		}
	}
	if Annotate(nil, "x", "y") != nil {
		t.Error("Annotate(nil) is not nil")
	}
}

func TestEveryCodeHasNameAndAdvice(t *testing.T) {
	advice := map[Code]Retry{Unavailable: RetrySafe, DeadlineExceeded: RetrySafe, Canceled: RetrySafe,
		UnknownOutcome: RetryAfterRead, Conflict: RetryAfterRead, Compacted: RetryAfterRead}
	for _, c := range Codes() {
		if _, named := codeNames[c]; !named || c.Retry() != advice[c] {
			t.Errorf("code %d: %s, retry %s", c, c, c.Retry())
		}
	}
	if len(Codes()) != 13 {
		t.Errorf("%d codes", len(Codes()))
	}
}

func TestRequirements(t *testing.T) {
	d := FacetDescription{Facet: KV, Claims: []Claim{"kv.CAS"},
		Missing: []Missing{{DurableFsync, "appendfsync is everysec", "CONFIG SET appendfsync always"}},
		Limits:  Limits{MaxTxnOps: 8, TTLResolution: time.Second, MinTTL: 2 * time.Second}}
	if err := CheckAll(d, []Requirement{Claim("kv.CAS"), TxnOps(8), TTLWithin(2 * time.Second)}); err != nil {
		t.Error(err)
	}
	err := CheckAll(d, []Requirement{DurableFsync, Claim("kv.Watch"), TxnOps(9), TTLWithin(time.Second)})
	want := "unsupported: required of kv but missing: " +
		"DurableFsync: appendfsync is everysec; CONFIG SET appendfsync always | " +
		"kv.Watch: not claimed by this provider | " +
		"TxnOps: a transaction may hold 8 operations, 9 are required | " +
		"TTLWithin: times to live are exact to 2s, 1s is required"
	if err == nil || err.Error() != want {
		t.Errorf("got  %v\nwant %s", err, want)
	}
}

func TestLive(t *testing.T) {
	l := NewLive(Description{Provider: "p", Notes: []string{"a"}})
	d, err := l.Describe(t.Context())
	if err != nil || d.Generation != 1 {
		t.Fatalf("%+v, %v", d, err)
	}
	d.Notes[0] = "changed by the caller"
	if l.Update(Description{Provider: "p", Notes: []string{"a"}}) {
		t.Error("an equal description counts as a change")
	}
	if !l.Update(Description{Provider: "p", Notes: []string{"b"}}) {
		t.Error("another description does not count as a change")
	}
	if d, err := l.Await(t.Context(), 1); err != nil || d.Generation != 2 || d.Notes[0] != "b" {
		t.Errorf("Await: %+v, %v", d, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := l.Await(ctx, 2); !errors.Is(err, Canceled) {
		t.Errorf("Await, canceled: %v", err)
	}
	if !l.Shut() || l.Shut() {
		t.Error("Shut must be true once")
	}
	if _, err := l.Await(t.Context(), 2); !errors.Is(err, Closed) {
		t.Errorf("Await, closed: %v", err)
	}
}

func TestLiveAnnounces(t *testing.T) {
	var text strings.Builder
	log := slog.New(slog.NewTextHandler(&text, nil))
	kv := func(c ...Claim) Description {
		d := Description{Provider: "p", Endpoint: "here"}
		for _, facet := range []Facet{KV, PubSub} {
			d.Facets = append(d.Facets, FacetDescription{Facet: facet, Claims: c, Missing: []Missing{{Claim: DurableFsync, Reason: "fsync is off"}}})
		}
		return d
	}
	l := NewLive(kv(DurableFsync))
	for _, step := range []struct {
		d    Description
		want []string
	}{
		{kv(DurableFsync), nil},
		{kv("kv.CAS"), []string{"level=WARN", "p: a guarantee was lost", "endpoint=here claim=DurableFsync facets=\"[kv pubsub]\"", "fsync is off"}},
		{kv(DurableFsync), []string{"level=INFO", "p: a guarantee holds now"}},
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
