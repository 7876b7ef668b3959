package dapr

import (
	"context"
	"math"
	"net"
	"strings"
	"testing"
	"time"

	runtimev1 "github.com/dapr/dapr/pkg/proto/runtime/v1"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"fairlead.dev"
	"fairlead.dev/internal/dev/check"
	kvdriver "fairlead.dev/kv/driver"
	"fairlead.dev/pubsub/driver"
)

// errFull is what a runtime returns of a state.redis whose Redis is full.
var errFull = status.Error(codes.Aborted, "failed saving state in state store state: possible etag mismatch. error from state store: OOM command not allowed when used memory > 'maxmemory'.")

// TestWriteUnderClose: the outcome of a write that was sent is unknown, also if the
// provider is closed meanwhile.
func TestWriteUnderClose(t *testing.T) {
	sent := make(chan struct{})
	f := &fakeSidecar{beforeSave: func(ctx context.Context) error {
		close(sent)
		<-ctx.Done()
		return ctx.Err()
	}}
	p := openFake(t, f, "")
	s, result := openStore(t, p), make(chan error)
	go func() { result <- putInto(context.Background(), s) }()
	<-sent
	check.NoError(t, p.disconnect())
	check.Code(t, <-result, fairlead.UnknownOutcome)
	check.Code(t, putInto(t.Context(), s), fairlead.Closed)
}

// TestFullBackend: a write that was refused for lack of space is Unavailable, says
// so, and is not made; the same for the creation of a group, which does not wait.
func TestFullBackend(t *testing.T) {
	full := true
	f := &fakeSidecar{beforeSave: func(context.Context) error {
		if full {
			return errFull
		}
		return nil
	}}
	p := openFake(t, f, "")
	s := openStore(t, p)
	_, groupErr := p.assignGroup(t.Context(), driver.SubscriptionConfig{Topic: "t", Group: "g"})
	bulkErr := bulkError([]*runtimev1.BulkPublishResponseFailedEntry{{Error: errFull.Error()}, {Error: errFull.Error()}}, 2)
	for what, err := range map[string]error{"write": putInto(t.Context(), s), "group": groupErr, "bulk": bulkErr} {
		check.Code(t, err, fairlead.Unavailable)
		if err == nil || !strings.Contains(err.Error(), "full") {
			t.Errorf("%s: %v; want the word full", what, err)
		}
	}
	if saves := f.countSaves(); saves != 2 {
		t.Errorf("the sidecar got %d writes, want 2", saves)
	}
	partly := bulkError([]*runtimev1.BulkPublishResponseFailedEntry{{Error: errFull.Error()}}, 2)
	check.Code(t, partly, fairlead.UnknownOutcome)
	full = false
	check.NoError(t, putInto(t.Context(), s))
	_, err := p.assignGroup(t.Context(), driver.SubscriptionConfig{Topic: "t", Group: "g"})
	check.NoError(t, err)
}

// TestGroupThatCannotBeStored: a component that answers reads and refuses writes is
// not asked without a pause, and the error has its answer.
func TestGroupThatCannotBeStored(t *testing.T) {
	f := &fakeSidecar{beforeSave: func(context.Context) error { return status.Error(codes.Internal, "READONLY replica") }}
	for _, c := range []struct {
		query   string
		timeout time.Duration
		want    fairlead.Code
	}{
		{"", time.Second, fairlead.DeadlineExceeded},
		{"?request-timeout=1s", time.Minute, fairlead.Unavailable},
	} {
		before := f.countSaves()
		p := openFake(t, f, c.query)
		ctx, cancel := context.WithTimeout(t.Context(), c.timeout)
		defer cancel()
		_, err := p.assignGroup(ctx, driver.SubscriptionConfig{Topic: "t", Group: "g"})
		check.Code(t, err, c.want)
		if err == nil || !strings.Contains(err.Error(), "READONLY") {
			t.Errorf("the error does not say why: %v", err)
		}
		if saves := f.countSaves() - before; saves > 50 {
			t.Errorf("the sidecar got %d writes in a second", saves)
		}
	}
}

// TestNoSidecarSaysWhy: the error of a wait for the sidecar has the reason, also if
// the caller's context ends it.
func TestNoSidecarSaysWhy(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	check.NoError(t, err)
	check.NoError(t, l.Close())
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	_, err = fairlead.Open(ctx, "dapr://"+l.Addr().String())
	check.Code(t, err, fairlead.DeadlineExceeded)
	if err == nil || !strings.Contains(err.Error(), "connection refused") {
		t.Errorf("the error does not say why: %v", err)
	}
}

// TestLongestTimes: neither a time to live nor a start time overflows.
func TestLongestTimes(t *testing.T) {
	p := openFake(t, &fakeSidecar{}, "")
	s := openStore(t, p)
	for _, ttl := range []time.Duration{time.Minute, math.MaxInt64 - 1, math.MaxInt64} {
		check.NoError(t, s.Do(t.Context(), []kvdriver.Op{{Kind: kvdriver.OpPut, Key: "k", TTL: ttl}})[0].Err)
		if err := s.Do(t.Context(), []kvdriver.Op{{Kind: kvdriver.OpGet, Key: "k"}})[0].Err; err != nil {
			t.Errorf("with a time to live of %v: %v", ttl, err)
		}
	}
	for at, want := range map[time.Time]int64{
		{}: math.MinInt64, time.Unix(0, math.MinInt64): math.MinInt64, time.Unix(1, 5): 1_000_000_005,
		time.Unix(0, math.MaxInt64): math.MaxInt64, time.Date(2263, 1, 1, 0, 0, 0, 0, time.UTC): math.MaxInt64,
	} {
		if got := unixNano(at); got != want {
			t.Errorf("%v has %d nanoseconds, want %d", at, got, want)
		}
	}
}

// FuzzReadGroups reads any content of a topic's groups as it would be read before a
// group is created.
func FuzzReadGroups(f *testing.F) {
	f.Add([]byte(`{"groups":[{"name":"g","since":5},{"name":"h","since":-9223372036854775808}]}`))
	f.Add([]byte(`{"groups":null}`))
	f.Add([]byte(`[]`))
	f.Add([]byte{recordForm})
	f.Fuzz(func(t *testing.T, data []byte) {
		known, err := decodeGroups(data)
		if err != nil {
			return
		}
		encoded, err := encodeGroups(known)
		check.NoError(t, err)
		again, err := decodeGroups(encoded)
		check.NoError(t, err)
		if len(again.Groups) != len(known.Groups) {
			t.Errorf("%d groups became %d", len(known.Groups), len(again.Groups))
		}
	})
}
