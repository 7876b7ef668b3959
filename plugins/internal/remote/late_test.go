package remote

import (
	"context"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"fairlead.dev"
	kvdriver "fairlead.dev/kv/driver"
	"fairlead.dev/plugins/internal/pluginpb/fairlead/plugin/v1"
	psdriver "fairlead.dev/pubsub/driver"
	rpcdriver "fairlead.dev/rpc/driver"
)

// fakeHistory is a store whose watches return each event once: an event that a
// watch has returned cannot be read from it again. The revision of an event is
// its number.
type fakeHistory struct {
	mu           sync.Mutex
	watches      map[uint64]int // the last event that each has returned
	hold         chan struct{}  // holds replies with events while it is not nil
	pageRevision string         // the revision of the listed page; empty: the store cannot list
}

func (h *fakeHistory) answerCall(ctx context.Context, c *pluginpb.Call) *pluginpb.Reply {
	switch {
	case c.GetKvList() != nil && h.pageRevision == "":
		return errorReply(pluginpb.Code_CODE_UNSUPPORTED)
	case c.GetKvList() != nil:
		return &pluginpb.Reply{Body: &pluginpb.Reply_KvPage{KvPage: &pluginpb.KVPage{Revision: []byte(h.pageRevision)}}}
	case c.GetKvNext() != nil:
		return h.nextEvent(ctx, c.Handle)
	case c.GetKvWatch() != nil:
		after, _ := strconv.Atoi(string(c.GetKvWatch().After)) // no After means from now on: 0 here
		h.mu.Lock()
		h.watches[c.Id] = after
		h.mu.Unlock()
	}
	return replyToOpening(c)
}

func (h *fakeHistory) nextEvent(ctx context.Context, handle uint64) *pluginpb.Reply {
	h.mu.Lock()
	n := h.watches[handle] + 1
	h.watches[handle] = n
	hold := h.hold
	h.mu.Unlock()
	if hold != nil {
		<-hold
	}
	event := &pluginpb.KVEvent{Kind: pluginpb.KVEventKind_KV_EVENT_KIND_PUT, Revision: []byte(strconv.Itoa(n))}
	return &pluginpb.Reply{Body: &pluginpb.Reply_KvEvents{KvEvents: &pluginpb.KVEvents{Events: []*pluginpb.KVEvent{event}}}}
}

func (h *fakeHistory) setHold(hold chan struct{}) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.hold = hold
}

func openWatcher(t *testing.T, p *fakePlugin, after kvdriver.Revision) kvdriver.Watcher {
	t.Helper()
	s, err := p.openProvider(t).OpenStore(t.Context(), kvdriver.StoreConfig{Name: "s"})
	if err != nil {
		t.Fatal(err)
	}
	w, err := s.Watch(t.Context(), kvdriver.WatchRequest{After: after})
	if err != nil {
		t.Fatal(err)
	}
	return w
}

// afterGrace is longer than a caller of the link waits after its context's end.
const afterGrace = time.Minute

// callWithTimeout makes a call whose context ends after a second, and returns its
// error.
func callWithTimeout(call func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	return call(ctx)
}

// TestLateEventsAreNotLost shows that events which the plugin returns after the
// caller has gone are read again, by a new watch. It begins after the last event
// that a caller got, or where the first watch began.
func TestLateEventsAreNotLost(t *testing.T) {
	for name, c := range map[string]struct {
		after    kvdriver.Revision
		page     string // the revision of the store's page
		read     int    // the number of events that are read before
		begin    string // the revision after which the new watch begins; empty: there can be none
		volatile bool   // the store is in the plugin's process, which continues to run
	}{
		"after a revision":                {"0", "", 0, "0", false},
		"after an event":                  {"0", "", 2, "2", false},
		"after an event of this process":  {"0", "", 2, "2", true},
		"from now, after the page":        {"", "0", 0, "0", false},
		"from now, after an event":        {"", "0", 1, "1", false},
		"from now, though it cannot list": {"", "", 1, "1", false},
		"from an unknown place":           {"", "", 0, "", false},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := &fakeHistory{watches: map[uint64]int{}, pageRevision: c.page}
				p := &fakePlugin{answer: h.answerCall, description: &pluginpb.Description{Volatile: c.volatile}}
				w := openWatcher(t, p, c.after)
				wantEvents(t, w, 1, c.read)

				hold := make(chan struct{})
				h.setHold(hold)
				began := time.Now()
				err := callWithTimeout(func(ctx context.Context) error { _, err := w.Next(ctx); return err })
				if took := time.Since(began); fairlead.CodeOf(err) != fairlead.DeadlineExceeded || took > 2*time.Second {
					t.Errorf("a call that was given up: %v, after %v", err, took)
				}
				time.Sleep(afterGrace)
				h.setHold(nil)
				close(hold)
				synctest.Wait()

				if c.begin == "" {
					wantCompacted(t, w)
					return
				}
				wantEvents(t, w, c.read+1, c.read+3)
				watches := selectCalls(p, func(c *pluginpb.Call) (string, bool) { return string(c.GetKvWatch().GetAfter()), c.GetKvWatch() != nil })
				if want := []string{string(c.after), c.begin}; !reflect.DeepEqual(watches, want) {
					t.Errorf("watches were opened after %q, want %q", watches, want)
				}
				wantFirstClosed(t, p)
			})
		})
	}
}

// wantEvents reads the events with the numbers from and to and all between them.
func wantEvents(t *testing.T, w kvdriver.Watcher, from, to int) {
	t.Helper()
	for i := from; i <= to; i++ {
		events, err := w.Next(t.Context())
		if err != nil || len(events) != 1 || string(events[0].Revision) != strconv.Itoa(i) {
			t.Fatalf("got %v, %v, want the event %d", events, err, i)
		}
	}
}

// wantCompacted checks that a watcher has ended with Compacted.
func wantCompacted(t *testing.T, w kvdriver.Watcher) {
	t.Helper()
	for range 2 {
		if events, err := w.Next(t.Context()); fairlead.CodeOf(err) != fairlead.Compacted {
			t.Errorf("a watch that cannot continue: %v, %v", events, err)
		}
	}
}

// wantFirstClosed checks that the first watch is closed in the plugin, and no
// other handle.
func wantFirstClosed(t *testing.T, p *fakePlugin) {
	t.Helper()
	synctest.Wait()
	watches := selectCalls(p, func(c *pluginpb.Call) (uint64, bool) { return c.Id, c.GetKvWatch() != nil })
	if closed := closedHandles(p); !slices.Equal(closed, watches[:1]) {
		t.Errorf("the handles %v were closed; the watches are %v", closed, watches)
	}
}

// TestGivenUpInTime shows that a watch stays open if the plugin reports the result
// of the canceled call in time, whether it is no event or some.
func TestGivenUpInTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := &fakeHistory{watches: map[uint64]int{}}
		turn := 0
		p := &fakePlugin{answer: func(ctx context.Context, c *pluginpb.Call) *pluginpb.Reply {
			if c.GetKvNext() != nil {
				turn++
				<-ctx.Done()
				if turn == 1 {
					return errorReply(pluginpb.Code_CODE_CANCELED)
				}
			}
			return h.answerCall(ctx, c)
		}}
		w := openWatcher(t, p, "0")
		err := callWithTimeout(func(ctx context.Context) error { _, err := w.Next(ctx); return err })
		if fairlead.CodeOf(err) != fairlead.DeadlineExceeded {
			t.Errorf("a call without an event: %v", err)
		}
		for want := range 3 {
			err := callWithTimeout(func(ctx context.Context) error {
				events, err := w.Next(ctx)
				if err == nil && string(events[0].Revision) != strconv.Itoa(want+1) {
					err = fmt.Errorf("got %v, want the event %d", events, want+1)
				}
				return err
			})
			if err != nil {
				t.Errorf("a call with an event: %v", err)
			}
		}
		if n := len(h.watches); n != 1 || len(closedHandles(p)) > 0 {
			t.Errorf("%d watches were opened, and %v closed", n, closedHandles(p))
		}
	})
}

// answerWhenReleased answers the calls that is selects once release is closed.
func answerWhenReleased(is func(*pluginpb.Call) bool, release <-chan struct{}, r *pluginpb.Reply) func(context.Context, *pluginpb.Call) *pluginpb.Reply {
	return func(_ context.Context, c *pluginpb.Call) *pluginpb.Reply {
		if r := replyToOpening(c); r != nil {
			return r
		}
		if !is(c) {
			return &pluginpb.Reply{}
		}
		<-release
		return r
	}
}

// TestLateMessagesAreGivenBack shows that messages which arrive after their caller
// has gone are returned to their group, as soon as another caller reads.
func TestLateMessagesAreGivenBack(t *testing.T) {
	for claim, kind := range map[fairlead.Claim]pluginpb.PubSubSettleKind{
		psdriver.ClaimExtend:  pluginpb.PubSubSettleKind_PUB_SUB_SETTLE_KIND_NACK,
		psdriver.ClaimRelease: pluginpb.PubSubSettleKind_PUB_SUB_SETTLE_KIND_RELEASE,
	} {
		t.Run(string(claim), func(t *testing.T) { giveBackLate(t, claim, kind) })
	}
}

func giveBackLate(t *testing.T, claim fairlead.Claim, kind pluginpb.PubSubSettleKind) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		deliveries := &pluginpb.PubSubDeliveries{Deliveries: []*pluginpb.PubSubDelivery{{Token: []byte("a")}, {Token: []byte("b")}}}
		p := &fakePlugin{answer: answerWhenReleased(
			func(c *pluginpb.Call) bool { return c.GetPubsubReceive() != nil }, release,
			&pluginpb.Reply{Body: &pluginpb.Reply_PubsubDeliveries{PubsubDeliveries: deliveries}},
		)}
		p.description = &pluginpb.Description{Facets: []*pluginpb.FacetDescription{{Facet: string(fairlead.PubSub), Claims: []string{string(claim)}}}}
		r := p.openProvider(t)
		s, err := r.OpenSubscription(t.Context(), psdriver.SubscriptionConfig{Topic: "t", Group: "g"})
		if err != nil {
			t.Fatal(err)
		}
		err = callWithTimeout(func(ctx context.Context) error { _, err := s.Receive(ctx, 10); return err })
		if fairlead.CodeOf(err) != fairlead.DeadlineExceeded {
			t.Errorf("a call that was given up: %v", err)
		}
		time.Sleep(afterGrace)
		close(release)
		synctest.Wait()
		if err := r.DeleteTopic(t.Context(), "t"); err != nil { // this caller reads
			t.Error(err)
		}
		synctest.Wait()
		settles := selectCalls(p, func(c *pluginpb.Call) (*pluginpb.PubSubSettle, bool) {
			return c.GetPubsubSettle(), c.GetPubsubSettle() != nil
		})
		if len(settles) != 1 || len(settles[0].Settlements) != 2 {
			t.Fatalf("the settlements are %v", settles)
		}
		for i, token := range []string{"a", "b"} {
			if got := settles[0].Settlements[i]; string(got.Token) != token || got.Kind != kind {
				t.Errorf("the message %s: %v", token, got)
			}
		}
	})
}

// TestLateFramesEndTheStream shows that a stream with a gap ends: frames that
// arrive after their caller has gone are lost, and the stream reports an error.
func TestLateFramesEndTheStream(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		p := &fakePlugin{answer: answerWhenReleased(
			func(c *pluginpb.Call) bool { return c.GetRpcReceive() != nil }, release,
			&pluginpb.Reply{Body: &pluginpb.Reply_RpcFrames{RpcFrames: &pluginpb.RPCFrames{Frames: []*pluginpb.RPCFrame{{}}}}},
		)}
		s, err := p.openProvider(t).OpenStream(t.Context(), rpcdriver.StreamConfig{Service: "s"})
		if err != nil {
			t.Fatal(err)
		}
		err = callWithTimeout(func(ctx context.Context) error { _, err := s.Recv(ctx); return err })
		if fairlead.CodeOf(err) != fairlead.DeadlineExceeded {
			t.Errorf("a call that was given up: %v", err)
		}
		time.Sleep(afterGrace)
		close(release)
		synctest.Wait()
		if frames, err := s.Recv(t.Context()); fairlead.CodeOf(err) != fairlead.Closed {
			t.Errorf("receiving after the gap: %v, %v", frames, err)
		}
		if err := s.Send(t.Context(), nil); fairlead.CodeOf(err) != fairlead.Closed {
			t.Errorf("sending after the gap: %v", err)
		}
		if closed := closedHandles(p); len(closed) != 1 {
			t.Errorf("the handles %v were closed, want the stream's", closed)
		}
	})
}
