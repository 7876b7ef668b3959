package wire

import (
	"context"
	"encoding/binary"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"fairlead.dev/plugins/internal/pluginpb/fairlead/plugin/v1"
)

// TestCancelReachesTheCall shows that a cancel ends a call that has no timeout, and
// that its caller gets the reply.
func TestCancelReachesTheCall(t *testing.T) {
	l, _ := newLinkedPair(t, echo(nil))
	for range 3 {
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(5*time.Millisecond, cancel)
		r, err := l.Call(ctx, newCall("wait", nil), nil)
		if err != nil || r.GetError().GetCode() != pluginpb.Code_CODE_CANCELED {
			t.Fatalf("a call that was canceled: %v, %v; the plugin was not told", r, err)
		}
	}
}

// TestCancelsOfAFrame shows that the cancels of a frame end their calls and no
// others, also if the frame has calls as well.
func TestCancelsOfAFrame(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		conn := pipeConn{make(chan *pluginpb.ExchangeRequest), make(chan *pluginpb.ExchangeResponse, 100)}
		served := make(chan error)
		go func() { served <- Serve(t.Context(), conn, routeAll(echo(nil))) }()
		waiting := func(id uint64) *pluginpb.Call {
			c := newCall("wait", nil)
			c.Id = id
			return c
		}
		conn.in <- &pluginpb.ExchangeRequest{Calls: []*pluginpb.Call{waiting(1), waiting(2), waiting(3)}}
		conn.in <- &pluginpb.ExchangeRequest{Calls: []*pluginpb.Call{waiting(4)}, Cancels: []uint64{2, 4, 99}}
		synctest.Wait()
		ended := map[uint64]bool{}
		for len(conn.out) > 0 {
			for _, r := range (<-conn.out).Replies {
				ended[r.Id] = true
			}
		}
		if len(ended) != 2 || !ended[2] || !ended[4] {
			t.Errorf("the calls %v have ended, want 2 and 4", ended)
		}
		close(conn.in)
		if err := <-served; err != nil {
			t.Error(err)
		}
	})
}

// TestPendingCallsAreBounded shows that a host refuses a call when too many wait,
// without sending it.
func TestPendingCallsAreBounded(t *testing.T) {
	l, _ := newLinkedPair(t, echo(nil))
	l.mu.Lock()
	for id := range uint64(maxPending) {
		l.pending[1<<32+id] = pendingCall{}
	}
	l.mu.Unlock()
	var lost *Lost
	if _, err := l.Call(t.Context(), newCall("k", nil), nil); !errors.As(err, &lost) || lost.Sent || !strings.Contains(err.Error(), "the most that can") {
		t.Errorf("a call too many: %v", err)
	}
	l.mu.Lock()
	delete(l.pending, 1<<32)
	l.mu.Unlock()
	wantEcho(t, l, []byte("again"))
}

// TestAbandonedCallsAreBounded shows that a plugin which answers no calls is cut
// off, so that they do not fill the host's memory.
func TestAbandonedCallsAreBounded(t *testing.T) {
	release := make(chan struct{})
	defer close(release)
	l, _ := newLinkedPair(t, echo(release))
	l.mu.Lock()
	l.abandoned = maxAbandoned
	l.mu.Unlock()
	ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	if _, err := l.Call(ctx, newCall("hold", nil), nil); err == nil {
		t.Fatal("the call was answered")
	}
	<-l.Done()
	if err := l.Err(); !strings.Contains(err.Error(), "unanswered") {
		t.Errorf("the link broke with %v", err)
	}
}

// TestUnansweredCallsAreBounded shows that a plugin ends a connection with too many
// calls, whether they run or their replies are not taken.
func TestUnansweredCallsAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		conn := pipeConn{make(chan *pluginpb.ExchangeRequest), make(chan *pluginpb.ExchangeResponse)}
		served := make(chan error, 1)
		go func() { served <- Serve(t.Context(), conn, routeAll(echo(nil))) }()
		go func() {
			for range conn.out {
			}
		}()
		many := make([]*pluginpb.Call, maxUnanswered)
		for i := range many {
			many[i] = &pluginpb.Call{Id: uint64(i + 1), Body: newCall("k", nil).Body}
		}
		conn.in <- &pluginpb.ExchangeRequest{Calls: many}
		synctest.Wait()
		if len(served) > 0 {
			t.Fatalf("the connection ended with %v", <-served)
		}
		conn.in <- &pluginpb.ExchangeRequest{Calls: append(many, many[0])}
		if err := <-served; err == nil || !strings.Contains(err.Error(), "not answered") {
			t.Errorf("the connection ended with %v", err)
		}
		close(conn.out)
	})
}

// TestFirstFrameIsBounded shows that a peer which has not attached yet cannot make
// the plugin keep a large frame.
func TestFirstFrameIsBounded(t *testing.T) {
	ours, theirs := newSocketPair(t)
	go func() { _, _ = ours.Write(binary.BigEndian.AppendUint32(nil, maxAttach+1)) }()
	if _, err := SocketConn(theirs, time.Minute).Recv(); err == nil || !strings.Contains(err.Error(), "the maximum is 65536") {
		t.Errorf("got %v", err)
	}
}
