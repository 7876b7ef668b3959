package plugins_test

import (
	"context"
	"errors"
	"math"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.opentelemetry.io/otel/trace"

	"fairlead.dev"
	"fairlead.dev/kv"
	kvdriver "fairlead.dev/kv/driver"
	"fairlead.dev/plugins"
	"fairlead.dev/providers"
	"fairlead.dev/pubsub"
	psdriver "fairlead.dev/pubsub/driver"
)

// observer is a provider whose store records the contexts that reach it.
type observer struct {
	*providers.Live
	contexts chan context.Context
	ended    chan error
}

func newObserver() *observer {
	return &observer{
		Live: providers.NewLive(fairlead.Description{
			Provider: "observer",
			Facets:   []fairlead.FacetDescription{{Facet: fairlead.KV, Limits: fairlead.Limits{MaxKeyBytes: 512, MaxValueBytes: 1 << 20}}},
		}),
		contexts: make(chan context.Context, 10), ended: make(chan error, 10),
	}
}

func (o *observer) Close(context.Context) error {
	o.Shut()
	return nil
}

func (o *observer) OpenStore(context.Context, kvdriver.StoreConfig) (kvdriver.Store, error) {
	return observed{o: o}, nil
}
func (o *observer) Stores(context.Context, string) ([]string, error) { return nil, nil }
func (o *observer) DeleteStore(context.Context, string) error        { panic("this driver panics") }

type observed struct {
	kvdriver.Store
	o *observer
}

// Do waits for the end of its context if the key is "wait".
func (s observed) Do(ctx context.Context, ops []kvdriver.Op) []kvdriver.Result {
	s.o.contexts <- ctx
	if ops[0].Key != "wait" {
		return make([]kvdriver.Result, len(ops))
	}
	<-ctx.Done()
	s.o.ended <- ctx.Err()
	results := make([]kvdriver.Result, len(ops))
	for i := range results {
		results[i].Err = fairlead.ContextError(ctx)
	}
	return results
}
func (s observed) Close(context.Context) error { return nil }

// observing opens a store of an observer through a loopback.
func observing(t *testing.T, over plugins.Transport) (*observer, fairlead.Provider, kvdriver.Store) {
	o := newObserver()
	p, err := plugins.Loopback(t.Context(), o, over)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.Close(context.Background()) })
	s, err := p.(kvdriver.Provider).OpenStore(t.Context(), kvdriver.StoreConfig{Name: "s"})
	if err != nil {
		t.Fatal(err)
	}
	return o, p, s
}

func overBoth(t *testing.T, test func(t *testing.T, over plugins.Transport)) {
	for _, over := range []plugins.Transport{plugins.Frames, plugins.Stream} {
		t.Run(string(over), func(t *testing.T) { test(t, over) })
	}
}

func get(key string) []kvdriver.Op { return []kvdriver.Op{{Kind: kvdriver.OpGet, Key: key}} }

// TestTraceContextCrosses shows that the driver's spans belong to the caller's
// trace.
func TestTraceContextCrosses(t *testing.T) {
	overBoth(t, func(t *testing.T, over plugins.Transport) {
		o, _, s := observing(t, over)
		state, err := trace.ParseTraceState("vendor=1")
		if err != nil {
			t.Fatal(err)
		}
		caller := trace.NewSpanContext(trace.SpanContextConfig{
			TraceID: trace.TraceID{1, 2, 3}, SpanID: trace.SpanID{4, 5}, TraceFlags: trace.FlagsSampled, TraceState: state,
		})
		s.Do(trace.ContextWithSpanContext(t.Context(), caller), get("k"))
		got := trace.SpanContextFromContext(<-o.contexts)
		if !got.IsRemote() || got.TraceID() != caller.TraceID() || got.SpanID() != caller.SpanID() ||
			!got.IsSampled() || got.TraceState().String() != "vendor=1" {
			t.Errorf("the driver sees %+v, the caller sent %+v", got, caller)
		}
		s.Do(t.Context(), get("k"))
		if got := trace.SpanContextFromContext(<-o.contexts); got.IsValid() {
			t.Errorf("without a trace the driver sees %+v", got)
		}
	})
}

// TestDeadlineAndCancellationCross shows that the driver learns how long its
// caller waits, and when the caller stops waiting.
func TestDeadlineAndCancellationCross(t *testing.T) {
	overBoth(t, func(t *testing.T, over plugins.Transport) {
		o, _, s := observing(t, over)
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		s.Do(ctx, get("k"))
		if deadline, ok := (<-o.contexts).Deadline(); !ok || time.Until(deadline) > time.Hour+time.Minute || time.Until(deadline) < 50*time.Minute {
			t.Errorf("the driver sees the deadline %v, %v, which is in an hour", deadline, ok)
		}
		waiting := make(chan error, 1)
		go func() { waiting <- s.Do(ctx, get("wait"))[0].Err }()
		<-o.contexts
		cancel()
		if err := <-o.ended; !errors.Is(err, context.Canceled) {
			t.Errorf("the driver's context ended with %v", err)
		}
		if err := <-waiting; fairlead.CodeOf(err) != fairlead.Canceled {
			t.Errorf("the caller got %v", err)
		}
	})
}

// TestPanicOfADriver shows that a panic of a driver fails only its own call.
func TestPanicOfADriver(t *testing.T) {
	overBoth(t, func(t *testing.T, over plugins.Transport) {
		_, p, s := observing(t, over)
		if err := p.(kvdriver.Provider).DeleteStore(t.Context(), "s"); fairlead.CodeOf(err) != fairlead.Internal {
			t.Errorf("a call whose driver panics: %v", err)
		}
		if err := s.Do(t.Context(), get("k"))[0].Err; err != nil {
			t.Errorf("the call after it: %v", err)
		}
	})
}

// doing is an observer whose store calls a function of the test.
type doing struct {
	*observer
	do func(context.Context, []kvdriver.Op) []kvdriver.Result
}

func (d *doing) OpenStore(context.Context, kvdriver.StoreConfig) (kvdriver.Store, error) {
	return done{d: d}, nil
}

type done struct {
	kvdriver.Store
	d *doing
}

func (s done) Do(ctx context.Context, ops []kvdriver.Op) []kvdriver.Result { return s.d.do(ctx, ops) }
func (s done) Close(context.Context) error                                 { return nil }

// looped opens a provider through a loopback.
func looped(t *testing.T, p fairlead.Provider, over plugins.Transport) fairlead.Provider {
	t.Helper()
	l, err := plugins.Loopback(t.Context(), p, over)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close(context.Background()) })
	return l
}

// TestFarDeadlinesCross shows that deadlines at and beyond the range of a
// time.Duration cross: neither the context nor the operation arrives with a
// deadline in the past.
func TestFarDeadlinesCross(t *testing.T) {
	century := time.Now().AddDate(100, 0, 0)
	overBoth(t, func(t *testing.T, over plugins.Transport) {
		moments := make(chan time.Time, 2)
		p := looped(t, &doing{newObserver(), func(ctx context.Context, ops []kvdriver.Op) []kvdriver.Result {
			deadline, _ := ctx.Deadline()
			moments <- deadline
			moments <- ops[0].Deadline
			return []kvdriver.Result{{Err: fairlead.ContextError(ctx)}}
		}}, over)
		s, err := p.(kvdriver.Provider).OpenStore(t.Context(), kvdriver.StoreConfig{Name: "s"})
		if err != nil {
			t.Fatal(err)
		}
		for _, deadline := range []time.Time{
			time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC), time.Now().Add(math.MaxInt64),
		} {
			ctx, cancel := context.WithDeadline(t.Context(), deadline)
			err := s.Do(ctx, []kvdriver.Op{{Kind: kvdriver.OpPut, Key: "k", Deadline: deadline}})[0].Err
			cancel()
			if err != nil {
				t.Fatalf("a call with the deadline %v: %v", deadline, err)
			}
			for _, what := range []string{"context", "operation"} {
				if got := <-moments; got.Before(century) {
					t.Errorf("the deadline %v of the %s arrives as %v", deadline, what, got)
				}
			}
		}
	})
}

// waited is a context that reports when a caller begins to wait for its end: the
// caller's call is then under way or queued.
type waited struct {
	context.Context
	waits func()
}

func (w waited) Done() <-chan struct{} {
	w.waits()
	return w.Context.Done()
}

// TestConcurrentCallersShareCalls shows that concurrent callers share a driver's
// calls, even if only the wire gains by it and the driver does not.
func TestConcurrentCallersShareCalls(t *testing.T) {
	const callers, most = 64, 8
	overBoth(t, func(t *testing.T, over plugins.Transport) {
		var calls, ops atomic.Int32
		release := make(chan struct{})
		d := &doing{newObserver(), func(_ context.Context, batch []kvdriver.Op) []kvdriver.Result {
			calls.Add(1)
			ops.Add(int32(len(batch)))
			<-release
			return make([]kvdriver.Result, len(batch))
		}}
		d.Live = providers.NewLive(fairlead.Description{Provider: "doing", Facets: []fairlead.FacetDescription{
			{Facet: fairlead.KV, Limits: fairlead.Limits{MaxKeyBytes: 512, MaxValueBytes: 1 << 20, MaxBatch: 256}},
		}})
		s, err := kv.Open(t.Context(), looped(t, d, over), "s")
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		var waiting, answered sync.WaitGroup
		waiting.Add(callers)
		for range callers {
			answered.Go(func() {
				if _, err := s.Put(waited{ctx, sync.OnceFunc(waiting.Done)}, "k", nil); err != nil {
					t.Error(err)
				}
			})
		}
		waiting.Wait()
		close(release)
		answered.Wait()
		if n := calls.Load(); n > most || ops.Load() != callers {
			t.Errorf("%d operations of %d callers came in %d calls, want %d at most", ops.Load(), callers, n, most)
		}
		if err := s.Close(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

// sending is an observer whose topic reports the number of messages in each Send.
type sending struct {
	*observer
	sent chan int
}

func (s *sending) OpenTopic(context.Context, psdriver.TopicConfig) (psdriver.Topic, error) {
	return sent{s.sent}, nil
}
func (s *sending) OpenSubscription(context.Context, psdriver.SubscriptionConfig) (psdriver.Subscription, error) {
	return nil, fairlead.Errorf(fairlead.Unsupported, "nothing is delivered here")
}
func (s *sending) Topics(context.Context, string) ([]string, error)  { return nil, nil }
func (s *sending) DeleteTopic(context.Context, string) error         { return nil }
func (s *sending) DeleteGroup(context.Context, string, string) error { return nil }

type sent struct{ sent chan int }

func (s sent) Send(_ context.Context, msgs []psdriver.Message) []psdriver.SendResult {
	s.sent <- len(msgs)
	return make([]psdriver.SendResult, len(msgs))
}
func (s sent) Close(context.Context) error { return nil }

// TestAtomicBatchesCrossWhole shows that an atomic batch reaches the driver in
// one call, even if it has more bytes than a call gathers. A batch of that size
// that is not atomic is split.
func TestAtomicBatchesCrossWhole(t *testing.T) {
	overBoth(t, func(t *testing.T, over plugins.Transport) {
		s := &sending{newObserver(), make(chan int, 10)}
		s.Live = providers.NewLive(fairlead.Description{Provider: "sending", Facets: []fairlead.FacetDescription{{
			Facet: fairlead.PubSub, Claims: []fairlead.Claim{pubsub.AtomicBatch},
			Limits: fairlead.Limits{MaxMessageBytes: 8 << 20, MaxBatch: 100},
		}}})
		topic, err := pubsub.Open(t.Context(), looped(t, s, over), "t")
		if err != nil {
			t.Fatal(err)
		}
		defer topic.Close(context.Background())
		large := make([]pubsub.Message, 3)
		for i := range large {
			large[i].Body = make([]byte, 7<<20)
		}
		if _, err := topic.PublishAtomic(t.Context(), large...); err != nil {
			t.Fatal(err)
		}
		if n := <-s.sent; n != len(large) {
			t.Errorf("the driver got %d of the %d messages of an atomic batch in its first call", n, len(large))
		}
		if _, err := topic.PublishMany(t.Context(), large...); err != nil {
			t.Fatal(err)
		}
		if first, second := <-s.sent, <-s.sent; first != 2 || second != 1 {
			t.Errorf("a batch of 21 MiB came in calls of %d and %d messages, want 2 and 1", first, second)
		}
	})
}

// TestCurrentCrosses shows that the present entry of a lost write comes through a
// plugin process as it does without one, also if its value is empty or it does not
// exist.
func TestCurrentCrosses(t *testing.T) {
	h := newHost(t, plugins.WithFolders(installed(t, "memory")))
	loop := must[fairlead.Provider](t)(plugins.Loopback(t.Context(), openURL(t, "mem://"), plugins.Frames))
	for name, p := range map[string]fairlead.Provider{"linked": openURL(t, "mem://"), "loopback": loop, "process": open(t, h, "plugin+mem://")} {
		t.Run(name, func(t *testing.T) {
			s := store(t, p)
			for _, value := range [][]byte{[]byte("v"), {}} {
				rev := must[kv.Revision](t)(s.Put(t.Context(), "k", value))
				_, err := s.Create(t.Context(), "k", []byte("mine"))
				e, known := kv.Current(err)
				if !errors.Is(err, fairlead.Conflict) || !known || !e.Exists() || e.Revision != rev || e.Value == nil || string(e.Value) != string(value) {
					t.Errorf("Create lost to %q: %+v, %v, %v", value, e, known, err)
				}
				if e, err := s.Get(t.Context(), "k"); err != nil || e.Value == nil || string(e.Value) != string(value) {
					t.Errorf("Get of %q: %#v, %v", value, e.Value, err)
				}
			}
			rev := must[kv.Revision](t)(s.Put(t.Context(), "gone", nil))
			if err := s.Delete(t.Context(), "gone"); err != nil {
				t.Fatal(err)
			}
			_, err := s.CAS(t.Context(), "gone", []byte("mine"), rev)
			if e, known := kv.Current(err); !errors.Is(err, fairlead.Conflict) || !known || e.Exists() {
				t.Errorf("CAS of a deleted key: %+v, %v, %v", e, known, err)
			}
		})
	}
	closes(t, loop)
}

// failing is a provider whose Close fails once.
type failing struct{ *observer }

func (failing) Close(context.Context) error {
	return fairlead.Errorf(fairlead.Internal, "the last data was not written")
}

// TestErrorOfCloseCrosses shows that the error of a provider's Close comes through
// a plugin, and that closing again does nothing.
func TestErrorOfCloseCrosses(t *testing.T) {
	overBoth(t, func(t *testing.T, over plugins.Transport) {
		p := must[fairlead.Provider](t)(plugins.Loopback(t.Context(), failing{newObserver()}, over))
		if err := p.Close(t.Context()); !errors.Is(err, fairlead.Internal) || !strings.Contains(err.Error(), "was not written") {
			t.Errorf("Close: got %v, want Internal", err)
		}
		if err := p.Close(t.Context()); err != nil {
			t.Errorf("the second Close: %v", err)
		}
	})
}
