package service

import (
	"context"
	"slices"
	"testing"
	"testing/synctest"

	"fairlead.dev"
	kvdriver "fairlead.dev/kv/driver"
	"fairlead.dev/plugins/internal/pluginpb/fairlead/plugin/v1"
	psdriver "fairlead.dev/pubsub/driver"
)

// stepDriver is a driver that blocks its first call until it is released, panics
// in the second one, and answers all later ones.
type stepDriver struct {
	steps   int
	release chan struct{}
}

func (t *stepDriver) step() {
	switch t.steps++; t.steps {
	case 1:
		<-t.release
	case 2:
		panic("this driver panics")
	}
}

// newStepProvider returns a provider whose calls are steps of a stepDriver.
func newStepProvider() (*fakeProvider, *stepDriver) {
	f, turn := newFakeProvider(fairlead.Limits{MaxBatch: 8, Pipelines: 1}), &stepDriver{release: make(chan struct{})}
	f.do = func(_ context.Context, ops []kvdriver.Op) []kvdriver.Result {
		turn.step()
		return make([]kvdriver.Result, len(ops))
	}
	f.send = func(_ context.Context, msgs []psdriver.Message) []psdriver.SendResult {
		turn.step()
		return make([]psdriver.SendResult, len(msgs))
	}
	return f, turn
}

// TestPanicInAGatheredCall shows that a driver which panics in a goroutine of the
// batcher fails the calls that were gathered there, and no others.
func TestPanicInAGatheredCall(t *testing.T) {
	for name, c := range map[string]struct {
		call   func(...string) *pluginpb.Call
		handle func(handles) uint64
	}{
		"operations": {putCall, func(all handles) uint64 { return all.store }},
		"messages":   {publishCall, func(all handles) uint64 { return all.topic }},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f, turn := newStepProvider()
				_, h := newAttached(t, f)
				handle := c.handle(h.openAll())
				first := h.beginCall(handle, c.call("a"))
				synctest.Wait()
				gathered := map[uint64]string{
					h.beginCall(handle, c.call("b")): "a call of two",
					h.beginCall(handle, c.call("c")): "the other one",
				}
				synctest.Wait()
				close(turn.release)
				replies := h.awaitReplies(3)
				wantAll(t, map[uint64]string{first: "the call before the panic"}, replies, 0)
				wantAll(t, gathered, replies, pluginpb.Code_CODE_INTERNAL)
				if turn.steps != 2 {
					t.Errorf("the driver was called %d times, want 2: one call gathers two operations", turn.steps)
				}
				if got := codesOf(h.callAndWait(handle, c.call("d"))); !slices.Equal(got, []pluginpb.Code{0}) {
					t.Errorf("the call after the panic gets %v, want no error", got)
				}
			})
		})
	}
}

// TestPanicInACall shows that a driver which panics in any other call fails only
// that call.
func TestPanicInACall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFakeProvider(fairlead.Limits{})
		f.do = func(context.Context, []kvdriver.Op) []kvdriver.Result { panic("this driver panics") }
		f.next = func(context.Context) ([]kvdriver.Event, error) { panic("this driver panics") }
		_, h := newAttached(t, f)
		all := h.openAll()
		internal := pluginpb.Code_CODE_INTERNAL
		if got := codesOf(h.callAndWait(all.store, putCall("a", "b"))); !slices.Equal(got, []pluginpb.Code{internal, internal}) {
			t.Errorf("two operations get %v", got)
		}
		if got := codesOf(h.callAndWait(all.watch, &pluginpb.Call{Body: &pluginpb.Call_KvNext{}})); !slices.Equal(got, []pluginpb.Code{internal}) {
			t.Errorf("a watch gets %v", got)
		}
		if r := h.callAndWait(all.store, &pluginpb.Call{Body: &pluginpb.Call_KvWatch{}}); r.Error != nil {
			t.Errorf("the call after the panic: %v", r.Error)
		}
	})
}

// TestWrongNumberOfResults shows that every operation gets a result, although the
// driver returns more or fewer results.
func TestWrongNumberOfResults(t *testing.T) {
	for _, keys := range [][]string{{"a"}, {"a", "b"}} {
		for _, n := range []int{0, 1, 2, 3} {
			synctest.Test(t, func(t *testing.T) {
				f := newFakeProvider(fairlead.Limits{MaxBatch: 8, Pipelines: 1})
				f.do = func(context.Context, []kvdriver.Op) []kvdriver.Result { return make([]kvdriver.Result, n) }
				f.send = func(context.Context, []psdriver.Message) []psdriver.SendResult {
					return make([]psdriver.SendResult, n)
				}
				_, h := newAttached(t, f)
				all := h.openAll()
				want := make([]pluginpb.Code, len(keys))
				if n != len(keys) {
					want = slices.Repeat([]pluginpb.Code{pluginpb.Code_CODE_INTERNAL}, len(keys))
				}
				if got := codesOf(h.callAndWait(all.store, putCall(keys...))); !slices.Equal(got, want) {
					t.Errorf("%d operations with %d results get %v, want %v", len(keys), n, got, want)
				}
				if got := codesOf(h.callAndWait(all.topic, publishCall(keys...))); !slices.Equal(got, want) {
					t.Errorf("%d messages with %d results get %v, want %v", len(keys), n, got, want)
				}
			})
		}
	}
}

// TestWrongNumberOfOutcomes shows that no settlement counts as done if the driver
// returns a wrong number of outcomes.
func TestWrongNumberOfOutcomes(t *testing.T) {
	for n := range 4 {
		synctest.Test(t, func(t *testing.T) {
			f := newFakeProvider(fairlead.Limits{})
			f.settle = func(context.Context, []psdriver.Settlement) []error { return make([]error, n) }
			_, h := newAttached(t, f)
			var want []pluginpb.Code
			if n != 2 {
				want = []pluginpb.Code{pluginpb.Code_CODE_INTERNAL, pluginpb.Code_CODE_INTERNAL}
			}
			if got := codesOf(h.callAndWait(h.openAll().subscription, settleCall("a", "b"))); !slices.Equal(got, want) {
				t.Errorf("2 settlements with %d outcomes get %v, want %v", n, got, want)
			}
		})
	}
}

// beginAll makes calls of all kinds, and returns their descriptions by id.
func (h *hostConn) beginAll(all handles) map[uint64]string {
	next, receive := &pluginpb.Call{Body: &pluginpb.Call_KvNext{}}, &pluginpb.Call{Body: &pluginpb.Call_PubsubReceive{}}
	return map[uint64]string{
		h.beginCall(all.store, putCall("a")):                     "an operation",
		h.beginCall(all.store, putCall("a", "b", "c")):           "operations",
		h.beginCall(all.watch, next):                             "a watch",
		h.beginCall(all.topic, publishCall("a")):                 "a message",
		h.beginCall(all.topic, publishCall("a", "b", "c")):       "messages",
		h.beginCall(all.subscription, receive):                   "a subscription",
		h.beginCall(all.subscription, settleCall("a", "b", "c")): "settlements",
	}
}

// settleCall is a call with a settlement for each token.
func settleCall(tokens ...string) *pluginpb.Call {
	all := &pluginpb.PubSubSettle{}
	for _, token := range tokens {
		all.Settlements = append(all.Settlements, &pluginpb.PubSubSettlement{Token: []byte(token), Kind: pluginpb.PubSubSettleKind_PUB_SUB_SETTLE_KIND_ACK})
	}
	return &pluginpb.Call{Body: &pluginpb.Call_PubsubSettle{PubsubSettle: all}}
}

// wantAll checks that the replies to the calls have the code want and no other.
func wantAll(t *testing.T, calls map[uint64]string, replies map[uint64]*pluginpb.Reply, want pluginpb.Code) {
	t.Helper()
	for id, what := range calls {
		got := codesOf(replies[id])
		if len(got) == 0 || slices.ContainsFunc(got, func(c pluginpb.Code) bool { return c != want }) {
			t.Errorf("%s: %v, want %v", what, got, want)
		}
	}
}

// TestEndOfThePlugin shows that calls which wait when the plugin ends, and later
// ones, fail with Unavailable. The host would take Closed as final.
func TestEndOfThePlugin(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, h := newAttached(t, newFakeProvider(fairlead.Limits{}))
		all := h.openAll()
		calls := h.beginAll(all)
		synctest.Wait()
		if err := s.Shutdown(t.Context()); err != nil {
			t.Error(err)
		}
		wantAll(t, calls, h.awaitReplies(len(calls)), pluginpb.Code_CODE_UNAVAILABLE)
		calls = h.beginAll(all)
		wantAll(t, calls, h.awaitReplies(len(calls)), pluginpb.Code_CODE_UNAVAILABLE)
	})
}

// awaitContextEnd is a driver's call that waits for the end of its context.
func awaitContextEnd(ctx context.Context) ([]kvdriver.Event, error) {
	<-ctx.Done()
	return nil, fairlead.ContextError(ctx)
}

// TestEndOfThePluginCancels shows that a driver's call which does not end with the
// provider ends with the session, and that its code is not the code of a call that
// the host canceled.
func TestEndOfThePluginCancels(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFakeProvider(fairlead.Limits{})
		f.next = awaitContextEnd
		s, h := newAttached(t, f)
		watch := h.openAll().watch
		id := h.beginCall(watch, &pluginpb.Call{Body: &pluginpb.Call_KvNext{}})
		synctest.Wait()
		if err := s.Shutdown(t.Context()); err != nil {
			t.Error(err)
		}
		wantAll(t, map[uint64]string{id: "a watch"}, h.awaitReplies(1), pluginpb.Code_CODE_UNAVAILABLE)
	})
}

// TestGivenUpWhileThePluginEnds shows that a call which the host cancels fails
// with Canceled, although the plugin is ending.
func TestGivenUpWhileThePluginEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFakeProvider(fairlead.Limits{})
		f.holdClose = make(chan struct{})
		f.next = awaitContextEnd
		s, h := newAttached(t, f)
		id := h.beginCall(h.openAll().watch, &pluginpb.Call{Body: &pluginpb.Call_KvNext{}})
		synctest.Wait()
		ended := make(chan error)
		go func() { ended <- s.Shutdown(context.Background()) }()
		synctest.Wait()
		h.in <- &pluginpb.ExchangeRequest{Cancels: []uint64{id}}
		wantAll(t, map[uint64]string{id: "a canceled call"}, h.awaitReplies(1), pluginpb.Code_CODE_CANCELED)
		close(f.holdClose)
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}

// TestEndOfThePluginKeepsOutcomes shows that the end of the plugin changes no
// outcome of a write that the driver reports.
func TestEndOfThePluginKeepsOutcomes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		said := []fairlead.Code{fairlead.Closed, fairlead.UnknownOutcome, fairlead.Conflict}
		want := []pluginpb.Code{pluginpb.Code_CODE_UNAVAILABLE, pluginpb.Code_CODE_UNKNOWN_OUTCOME, pluginpb.Code_CODE_CONFLICT}
		f := newFakeProvider(fairlead.Limits{})
		say := func(i int) error {
			_ = f.awaitClosed()
			return fairlead.Errorf(said[i], "why")
		}
		f.do = func(_ context.Context, ops []kvdriver.Op) []kvdriver.Result {
			return resultsFor(ops, func(i int) kvdriver.Result { return kvdriver.Result{Err: say(i)} })
		}
		f.send = func(_ context.Context, msgs []psdriver.Message) []psdriver.SendResult {
			return resultsFor(msgs, func(i int) psdriver.SendResult { return psdriver.SendResult{Err: say(i)} })
		}
		f.settle = func(_ context.Context, all []psdriver.Settlement) []error { return resultsFor(all, say) }
		s, h := newAttached(t, f)
		all := h.openAll()
		h.beginCall(all.store, putCall("a", "b", "c"))
		h.beginCall(all.topic, publishCall("a", "b", "c"))
		h.beginCall(all.subscription, settleCall("a", "b", "c"))
		synctest.Wait()
		if err := s.Shutdown(t.Context()); err != nil {
			t.Error(err)
		}
		for _, r := range h.awaitReplies(3) {
			if got := codesOf(r); !slices.Equal(got, want) {
				t.Errorf("%T: %v, want %v", r.Body, got, want)
			}
		}
	})
}

// TestClosedByTheHost shows that the codes of calls which the host's own actions
// end are not changed.
func TestClosedByTheHost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFakeProvider(fairlead.Limits{})
		_, h := newAttached(t, f)
		all := h.openAll()
		given := h.beginAll(all)
		synctest.Wait()
		f.next = awaitContextEnd
		id := h.beginCall(all.watch, &pluginpb.Call{Body: &pluginpb.Call_KvNext{}})
		synctest.Wait()
		h.in <- &pluginpb.ExchangeRequest{Cancels: []uint64{id}}
		wantAll(t, map[uint64]string{id: "a canceled call"}, h.awaitReplies(1), pluginpb.Code_CODE_CANCELED)

		h.beginCall(all.watch, &pluginpb.Call{Body: &pluginpb.Call_CloseHandle{}})
		wantAll(t, given, h.awaitReplies(len(given)+1), pluginpb.Code_CODE_CLOSED)
		if got := codesOf(h.callAndWait(all.watch, &pluginpb.Call{Body: &pluginpb.Call_KvNext{}})); !slices.Equal(got, []pluginpb.Code{pluginpb.Code_CODE_CLOSED}) {
			t.Errorf("a call on a closed handle: %v", got)
		}
	})
}
