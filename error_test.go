package fairlead

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

// TestErrorTextNamesObjectAndKey: the object and the key stand before the message, once,
// and a long key is cut.
func TestErrorTextNamesObjectAndKey(t *testing.T) {
	for want, e := range map[string]*Error{
		`kv.Get: redis: not found: store "s", key "a b": the key does not exist`: {
			Code: NotFound, Op: "kv.Get", Provider: "redis", Object: `store "s"`, Key: "a b", Message: "the key does not exist"},
		`conflict: store "s": the key "a" exists`:           {Code: Conflict, Object: `store "s"`, Key: "a", Message: `the key "a" exists`},
		`not found: key "` + strings.Repeat("k", 64) + `…"`: {Code: NotFound, Key: strings.Repeat("k", 5000)},
	} {
		if e.Error() != want {
			t.Errorf("got  %s\nwant %s", e, want)
		}
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
	if err := CheckRequirements(d, []Requirement{Claim("kv.CAS"), TxnOps(8), TTLWithin(2 * time.Second)}); err != nil {
		t.Error(err)
	}
	err := CheckRequirements(d, []Requirement{DurableFsync, Claim("kv.Watch"), TxnOps(9), TTLWithin(time.Second)})
	want := "unsupported: required of kv but missing: " +
		"DurableFsync: appendfsync is everysec; CONFIG SET appendfsync always | " +
		"kv.Watch: not claimed by this provider | " +
		"TxnOps: a transaction may hold 8 operations, 9 are required | " +
		"TTLWithin: times to live are exact to 2s, 1s is required"
	if err == nil || err.Error() != want {
		t.Errorf("got  %v\nwant %s", err, want)
	}
}

// TestUnknownRequirements: a claim of another facet, and one that is misspelled, are
// told from one that does not hold.
func TestUnknownRequirements(t *testing.T) {
	d := FacetDescription{Facet: KV, Claims: []Claim{"kv.Watch", "kv.CAS"}, Missing: []Missing{{Claim: "kv.WatchEvery"}}}
	for c, want := range map[Claim]string{
		"pubsub.Ordered": "it is a claim of the facet pubsub; demand it there",
		"Watch":          "similar: kv.Watch, kv.WatchEvery",
		"kv.watch":       "similar: kv.Watch, kv.WatchEvery",
		"kv.CASS":        "similar: kv.CAS",
		"durablefsync":   "similar: DurableFsync",
		"kv.Nothing":     "not claimed by this provider",
	} {
		m, lacks := c.Check(d)
		if !lacks || !strings.HasSuffix(m.Reason, want) {
			t.Errorf("%s: got %q, want %q", c, m.Reason, want)
		}
	}
}

// TestAnnotateKeepsAllErrors: what was joined is not lost.
func TestAnnotateKeepsAllErrors(t *testing.T) {
	first, second := Errorf(Unavailable, "no server"), Errorf(Conflict, "lost")
	for what, err := range map[string]error{
		"joined":  errors.Join(first, second, io.EOF),
		"wrapped": fmt.Errorf("closing: %w", errors.Join(first, second, io.EOF)),
		"nested":  errors.Join(errors.Join(nil, first), errors.Join(second, io.EOF)),
		"last":    errors.Join(io.EOF, first, second),
	} {
		got := Annotate(err, "kv.Close", "redis")
		if CodeOf(got) != Unavailable || !errors.Is(got, Conflict) || !errors.Is(got, io.EOF) {
			t.Errorf("%s: got %v", what, got)
		}
		for _, text := range []string{"kv.Close: redis: unavailable: no server; and: ", "lost", "EOF"} {
			if strings.Count(got.Error(), text) != 1 {
				t.Errorf("%s: %q is not once in %q", what, text, got)
			}
		}
		if again := Annotate(got, "x", "y"); again.Error() != got.Error() {
			t.Errorf("%s: annotated again: %v", what, again)
		}
	}
}

// TestContextErrorAsksTheDeadline: a context whose timer has not fired has ended all
// the same.
func TestContextErrorAsksTheDeadline(t *testing.T) {
	if err := ContextError(lateContext{t.Context()}); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v", err)
	}
	if err := ContextError(t.Context()); err != nil {
		t.Errorf("got %v", err)
	}
}

// lateContext is a context whose deadline has passed and whose timer has not fired.
type lateContext struct{ context.Context }

func (lateContext) Deadline() (time.Time, bool) { return time.Now().Add(-time.Second), true }

func TestNilOption(t *testing.T) {
	if _, err := Open(t.Context(), "mem://", WithLogger(slog.Default()), nil); !errors.Is(err, Invalid) || !strings.Contains(err.Error(), "option 2") {
		t.Errorf("got %v", err)
	}
}
