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

// turns is a driver that holds its first call until it is released, panics in
// the second one, and answers all that follow.
type turns struct {
	taken   int
	release chan struct{}
}

func (t *turns) take() {
	switch t.taken++; t.taken {
	case 1:
		<-t.release
	case 2:
		panic("this driver panics")
	}
}

// taking returns a provider of which every call takes a turn.
func taking() (*fake, *turns) {
	f, turn := newFake(fairlead.Limits{MaxBatch: 8, Pipelines: 1}), &turns{release: make(chan struct{})}
	f.do = func(_ context.Context, ops []kvdriver.Op) []kvdriver.Result {
		turn.take()
		return make([]kvdriver.Result, len(ops))
	}
	f.send = func(_ context.Context, msgs []psdriver.Message) []psdriver.SendResult {
		turn.take()
		return make([]psdriver.SendResult, len(msgs))
	}
	return f, turn
}

// TestPanicInAGatheredCall shows that a driver which panics in a goroutine of
// the service's own fails the calls that were gathered there, and nothing else.
func TestPanicInAGatheredCall(t *testing.T) {
	for name, c := range map[string]struct {
		call   func(...string) *pluginpb.Call
		handle func(handles) uint64
	}{
		"operations": {put, func(all handles) uint64 { return all.store }},
		"messages":   {publish, func(all handles) uint64 { return all.topic }},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f, turn := taking()
				_, h := attached(t, f)
				handle := c.handle(h.open())
				first := h.begin(handle, c.call("a"))
				synctest.Wait()
				gathered := map[uint64]string{
					h.begin(handle, c.call("b")): "a call of two",
					h.begin(handle, c.call("c")): "the other one",
				}
				synctest.Wait()
				close(turn.release)
				replies := h.replies(3)
				wantAll(t, map[uint64]string{first: "the call before"}, replies, 0)
				wantAll(t, gathered, replies, pluginpb.Code_CODE_INTERNAL)
				if turn.taken != 2 {
					t.Errorf("the driver was called %d times: nothing was gathered", turn.taken)
				}
				if got := codesOf(h.call(handle, c.call("d"))); !slices.Equal(got, []pluginpb.Code{0}) {
					t.Errorf("the call after it gets %v", got)
				}
			})
		})
	}
}

// TestPanicInACall shows that a driver which panics in any other call fails it
// alone.
func TestPanicInACall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake(fairlead.Limits{})
		f.do = func(context.Context, []kvdriver.Op) []kvdriver.Result { panic("this driver panics") }
		f.next = func(context.Context) ([]kvdriver.Event, error) { panic("this driver panics") }
		_, h := attached(t, f)
		all := h.open()
		internal := pluginpb.Code_CODE_INTERNAL
		if got := codesOf(h.call(all.store, put("a", "b"))); !slices.Equal(got, []pluginpb.Code{internal, internal}) {
			t.Errorf("two operations get %v", got)
		}
		if got := codesOf(h.call(all.watch, &pluginpb.Call{Body: &pluginpb.Call_KvNext{}})); !slices.Equal(got, []pluginpb.Code{internal}) {
			t.Errorf("a watch gets %v", got)
		}
		if r := h.call(all.store, &pluginpb.Call{Body: &pluginpb.Call_KvWatch{}}); r.Error != nil {
			t.Errorf("the call after it: %v", r.Error)
		}
	})
}

// TestWrongNumberOfResults shows that every operation gets a result, although
// the driver answers with more or fewer.
func TestWrongNumberOfResults(t *testing.T) {
	for _, keys := range [][]string{{"a"}, {"a", "b"}} {
		for _, n := range []int{0, 1, 2, 3} {
			synctest.Test(t, func(t *testing.T) {
				f := newFake(fairlead.Limits{MaxBatch: 8, Pipelines: 1})
				f.do = func(context.Context, []kvdriver.Op) []kvdriver.Result { return make([]kvdriver.Result, n) }
				f.send = func(context.Context, []psdriver.Message) []psdriver.SendResult {
					return make([]psdriver.SendResult, n)
				}
				_, h := attached(t, f)
				all := h.open()
				want := make([]pluginpb.Code, len(keys))
				if n != len(keys) {
					want = slices.Repeat([]pluginpb.Code{pluginpb.Code_CODE_INTERNAL}, len(keys))
				}
				if got := codesOf(h.call(all.store, put(keys...))); !slices.Equal(got, want) {
					t.Errorf("%d operations with %d results get %v, want %v", len(keys), n, got, want)
				}
				if got := codesOf(h.call(all.topic, publish(keys...))); !slices.Equal(got, want) {
					t.Errorf("%d messages with %d results get %v, want %v", len(keys), n, got, want)
				}
			})
		}
	}
}

// TestWrongNumberOfOutcomes shows that no settlement counts as done of which the
// driver says nothing.
func TestWrongNumberOfOutcomes(t *testing.T) {
	for n := range 4 {
		synctest.Test(t, func(t *testing.T) {
			f := newFake(fairlead.Limits{})
			f.settle = func(context.Context, []psdriver.Settlement) []error { return make([]error, n) }
			_, h := attached(t, f)
			var want []pluginpb.Code
			if n != 2 {
				want = []pluginpb.Code{pluginpb.Code_CODE_INTERNAL, pluginpb.Code_CODE_INTERNAL}
			}
			if got := codesOf(h.call(h.open().subscription, settle("a", "b"))); !slices.Equal(got, want) {
				t.Errorf("2 settlements with %d outcomes get %v, want %v", n, got, want)
			}
		})
	}
}

// begun makes calls of all kinds, and returns what they are by their ids.
func (h *host) begun(all handles) map[uint64]string {
	next, receive := &pluginpb.Call{Body: &pluginpb.Call_KvNext{}}, &pluginpb.Call{Body: &pluginpb.Call_PubsubReceive{}}
	return map[uint64]string{
		h.begin(all.store, put("a")):                     "an operation",
		h.begin(all.store, put("a", "b", "c")):           "operations",
		h.begin(all.watch, next):                         "a watch",
		h.begin(all.topic, publish("a")):                 "a message",
		h.begin(all.topic, publish("a", "b", "c")):       "messages",
		h.begin(all.subscription, receive):               "a subscription",
		h.begin(all.subscription, settle("a", "b", "c")): "settlements",
	}
}

// settle is a call with as many settlements as there are tokens.
func settle(tokens ...string) *pluginpb.Call {
	all := &pluginpb.PubSubSettle{}
	for _, token := range tokens {
		all.Settlements = append(all.Settlements, &pluginpb.PubSubSettlement{Token: []byte(token)})
	}
	return &pluginpb.Call{Body: &pluginpb.Call_PubsubSettle{PubsubSettle: all}}
}

// wantAll checks that the replies of calls have no code but one.
func wantAll(t *testing.T, calls map[uint64]string, replies map[uint64]*pluginpb.Reply, want pluginpb.Code) {
	t.Helper()
	for id, what := range calls {
		got := codesOf(replies[id])
		if len(got) == 0 || slices.ContainsFunc(got, func(c pluginpb.Code) bool { return c != want }) {
			t.Errorf("%s: %v, want %v", what, got, want)
		}
	}
}

// TestEndOfThePlugin shows that a host gets Unavailable for what waits when the
// plugin ends, or comes after: to the host, Closed would be the end of it all.
func TestEndOfThePlugin(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, h := attached(t, newFake(fairlead.Limits{}))
		all := h.open()
		calls := h.begun(all)
		synctest.Wait()
		if err := s.Shutdown(t.Context()); err != nil {
			t.Error(err)
		}
		wantAll(t, calls, h.replies(len(calls)), pluginpb.Code_CODE_UNAVAILABLE)
		calls = h.begun(all)
		wantAll(t, calls, h.replies(len(calls)), pluginpb.Code_CODE_UNAVAILABLE)
	})
}

// untilEnd is a driver's call that waits for the end of its context.
func untilEnd(ctx context.Context) ([]kvdriver.Event, error) {
	<-ctx.Done()
	return nil, fairlead.ContextError(ctx)
}

// TestEndOfThePluginCancels shows that a driver which does not end with its
// provider ends with the session, and that this is no end by the host.
func TestEndOfThePluginCancels(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake(fairlead.Limits{})
		f.next = untilEnd
		s, h := attached(t, f)
		watch := h.open().watch
		id := h.begin(watch, &pluginpb.Call{Body: &pluginpb.Call_KvNext{}})
		synctest.Wait()
		if err := s.Shutdown(t.Context()); err != nil {
			t.Error(err)
		}
		wantAll(t, map[uint64]string{id: "a watch"}, h.replies(1), pluginpb.Code_CODE_UNAVAILABLE)
	})
}

// TestGivenUpWhileThePluginEnds shows that a host which gives a call up gets just
// that, although the plugin is about to end.
func TestGivenUpWhileThePluginEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake(fairlead.Limits{})
		f.hold = make(chan struct{})
		f.next = untilEnd
		s, h := attached(t, f)
		id := h.begin(h.open().watch, &pluginpb.Call{Body: &pluginpb.Call_KvNext{}})
		synctest.Wait()
		ended := make(chan error)
		go func() { ended <- s.Shutdown(context.Background()) }()
		synctest.Wait()
		h.in <- &pluginpb.ExchangeRequest{Cancels: []uint64{id}}
		wantAll(t, map[uint64]string{id: "a call that was given up"}, h.replies(1), pluginpb.Code_CODE_CANCELED)
		close(f.hold)
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}

// TestEndOfThePluginExcusesNoMore shows that what a driver says of a write
// stays, whatever ends.
func TestEndOfThePluginExcusesNoMore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		said := []fairlead.Code{fairlead.Closed, fairlead.UnknownOutcome, fairlead.Conflict}
		want := []pluginpb.Code{pluginpb.Code_CODE_UNAVAILABLE, pluginpb.Code_CODE_UNKNOWN_OUTCOME, pluginpb.Code_CODE_CONFLICT}
		f := newFake(fairlead.Limits{})
		say := func(i int) error {
			_ = f.closed()
			return fairlead.Errorf(said[i], "why")
		}
		f.do = func(_ context.Context, ops []kvdriver.Op) []kvdriver.Result {
			return answers(ops, func(i int) kvdriver.Result { return kvdriver.Result{Err: say(i)} })
		}
		f.send = func(_ context.Context, msgs []psdriver.Message) []psdriver.SendResult {
			return answers(msgs, func(i int) psdriver.SendResult { return psdriver.SendResult{Err: say(i)} })
		}
		f.settle = func(_ context.Context, all []psdriver.Settlement) []error { return answers(all, say) }
		s, h := attached(t, f)
		all := h.open()
		h.begin(all.store, put("a", "b", "c"))
		h.begin(all.topic, publish("a", "b", "c"))
		h.begin(all.subscription, settle("a", "b", "c"))
		synctest.Wait()
		if err := s.Shutdown(t.Context()); err != nil {
			t.Error(err)
		}
		for _, r := range h.replies(3) {
			if got := codesOf(r); !slices.Equal(got, want) {
				t.Errorf("%T: %v, want %v", r.Body, got, want)
			}
		}
	})
}

// TestClosedByTheHost shows that a host gets what its own doing makes calls fail
// with, as it is.
func TestClosedByTheHost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake(fairlead.Limits{})
		_, h := attached(t, f)
		all := h.open()
		given := h.begun(all)
		synctest.Wait()
		f.next = untilEnd
		id := h.begin(all.watch, &pluginpb.Call{Body: &pluginpb.Call_KvNext{}})
		synctest.Wait()
		h.in <- &pluginpb.ExchangeRequest{Cancels: []uint64{id}}
		wantAll(t, map[uint64]string{id: "a call that was given up"}, h.replies(1), pluginpb.Code_CODE_CANCELED)

		h.begin(all.watch, &pluginpb.Call{Body: &pluginpb.Call_CloseHandle{}})
		wantAll(t, given, h.replies(len(given)+1), pluginpb.Code_CODE_CLOSED)
		if got := codesOf(h.call(all.watch, &pluginpb.Call{Body: &pluginpb.Call_KvNext{}})); !slices.Equal(got, []pluginpb.Code{pluginpb.Code_CODE_CLOSED}) {
			t.Errorf("a handle that is closed: %v", got)
		}
	})
}
