package wire

import (
	"context"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"fairlead.dev/plugins/internal/pluginpb/fairlead/plugin/v1"
)

// readCounter is a connection that records how many goroutines read it at once.
type readCounter struct {
	pipeConn
	now, max atomic.Int32
}

func (r *readCounter) Recv() (*pluginpb.ExchangeRequest, error) {
	defer r.now.Add(-1)
	if n := r.now.Add(1); n > r.max.Load() {
		r.max.Store(n)
	}
	return r.pipeConn.Recv()
}

// stuckServer is a plugin whose reading goroutine sometimes gets stuck in a call.
type stuckServer struct {
	conn *readCounter
	last uint64
}

// sendCall sends a call, and returns how long it took until the plugin read it.
// It fails if the plugin has not read it after a second.
func (s *stuckServer) sendCall(t *testing.T, key string) (id uint64, took time.Duration) {
	t.Helper()
	began, c := time.Now(), newCall(key, nil)
	s.last++
	c.Id = s.last
	select {
	case s.conn.in <- &pluginpb.ExchangeRequest{Calls: []*pluginpb.Call{c}}:
	case <-time.After(time.Second):
		t.Fatal("no goroutine reads")
	}
	return c.Id, time.Since(began)
}

func (s *stuckServer) wantReply(t *testing.T, id uint64) {
	t.Helper()
	select {
	case f := <-s.conn.out:
		if len(f.Replies) != 1 || f.Replies[0].Id != id {
			t.Fatalf("got the replies %v, want one to the call %d", f.Replies, id)
		}
	case <-time.After(time.Second):
		t.Fatalf("no reply to the call %d", id)
	}
}

// makeQuick makes a call after which its class counts as quick.
func (s *stuckServer) makeQuick(t *testing.T) {
	t.Helper()
	id, _ := s.sendCall(t, "k")
	s.wantReply(t, id)
}

// getStuck lets a call of a quick class get stuck after a while, and shows that
// the next call is served nevertheless.
func (s *stuckServer) getStuck(t *testing.T, release chan struct{}, after time.Duration) {
	t.Helper()
	s.makeQuick(t)
	time.Sleep(after)
	held, _ := s.sendCall(t, "hold")
	next, took := s.sendCall(t, "k")
	if took > 2*watchInterval {
		t.Errorf("%v after a quick call, one was stuck for %v, want at most %v", after, took, 2*watchInterval)
	}
	s.wantReply(t, next)
	release <- struct{}{}
	s.wantReply(t, held)
}

// TestStuckReaderIsReplaced shows that a call of a quick class which takes long
// after all delays others by two watch intervals at most. This holds each time,
// whether the timer that watches the reader exists or is about to stop.
func TestStuckReaderIsReplaced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		s := &stuckServer{conn: &readCounter{pipeConn: pipeConn{make(chan *pluginpb.ExchangeRequest), make(chan *pluginpb.ExchangeResponse, 10)}}}
		served := make(chan error, 1)
		go func() { served <- Serve(context.Background(), s.conn, routeAll(echo(release))) }()
		defer func() {
			close(release)
			close(s.conn.in)
			if err := <-served; err != nil {
				t.Error(err)
			}
		}()
		for _, after := range []time.Duration{
			0, 0, watchInterval / 2, watchInterval - 1, watchInterval, watchInterval + 1, 2*watchInterval - 1, 2 * watchInterval, 2*watchInterval + 1, 3 * watchInterval, time.Hour, 0,
		} {
			s.getStuck(t, release, after)
		}
		s.makeQuick(t)
		held, _ := s.sendCall(t, "hold")
		time.Sleep(10 * watchInterval) // and no call arrives
		release <- struct{}{}
		s.wantReply(t, held)
		if n := s.conn.max.Load(); n != 1 {
			t.Errorf("%d goroutines read at once, want 1", n)
		}
	})
}

// TestInlineCallIsWatched shows that a call which begins while the timer is about
// to stop is watched. The two run concurrently, so the test runs many times.
func TestInlineCallIsWatched(t *testing.T) {
	ended := pipeConn{in: make(chan *pluginpb.ExchangeRequest)}
	close(ended.in) // in case the timer finds that the call takes too long
	for range 20000 {
		s := &server{start: time.Now(), conn: ended, readErr: make(chan error, 1)}
		s.inlineCalls.Store(1)
		s.watching.Store(true)
		checked, ready := make(chan struct{}), make(chan struct{})
		go func() {
			defer close(checked)
			close(ready)
			s.watchReader(1)()
		}()
		<-ready
		watched := false
		s.runInline(func() {
			<-checked
			watched = s.watching.Load() || s.inlineSince.Load() == 0 // or it has found that the call takes too long
		})
		if !watched {
			t.Fatal("no timer watches the call that runs inline")
		}
	}
}
