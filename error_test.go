package fairlead

import (
	"context"
	"errors"
	"fmt"
	"io"
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
