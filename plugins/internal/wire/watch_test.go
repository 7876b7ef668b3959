package wire

import (
	"context"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"fairlead.dev/plugins/internal/pluginpb/fairlead/plugin/v1"
)

// readers is a connection that notes how many read it at once.
type readers struct {
	pipeConn
	now, most atomic.Int32
}

func (r *readers) Recv() (*pluginpb.ExchangeRequest, error) {
	defer r.now.Add(-1)
	if n := r.now.Add(1); n > r.most.Load() {
		r.most.Store(n)
	}
	return r.pipeConn.Recv()
}

// stuck is a plugin whose reader is now and then stuck in a call.
type stuck struct {
	conn *readers
	last uint64
}

// send sends a call, and reports how long it took until somebody read it: after
// a second, nobody does.
func (s *stuck) send(t *testing.T, key string) (id uint64, took time.Duration) {
	t.Helper()
	began, c := time.Now(), call(key, nil)
	s.last++
	c.Id = s.last
	select {
	case s.conn.in <- &pluginpb.ExchangeRequest{Calls: []*pluginpb.Call{c}}:
	case <-time.After(time.Second):
		t.Fatal("nobody reads")
	}
	return c.Id, time.Since(began)
}

func (s *stuck) wantReply(t *testing.T, id uint64) {
	t.Helper()
	select {
	case f := <-s.conn.out:
		if len(f.Replies) != 1 || f.Replies[0].Id != id {
			t.Fatalf("%v came, want the reply of %d", f.Replies, id)
		}
	case <-time.After(time.Second):
		t.Fatal("no reply came")
	}
}

// quick makes a call after which its kind counts as quick.
func (s *stuck) quick(t *testing.T) {
	t.Helper()
	id, _ := s.send(t, "k")
	s.wantReply(t, id)
}

// round lets a call of a quick kind get stuck after a while, and shows that
// the next one is served all the same.
func (s *stuck) round(t *testing.T, release chan struct{}, after time.Duration) {
	t.Helper()
	s.quick(t)
	time.Sleep(after)
	held, _ := s.send(t, "hold")
	next, took := s.send(t, "k")
	if took > 2*look {
		t.Errorf("%v after a quick call, one was stuck for %v, want at most %v", after, took, 2*look)
	}
	s.wantReply(t, next)
	release <- struct{}{}
	s.wantReply(t, held)
}

// TestStuckReaderIsRelieved shows that a call of a quick kind which takes long
// after all holds up no other one for more than a moment, however often, and
// whether the timer that looks after it is there yet or about to go.
func TestStuckReaderIsRelieved(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		s := &stuck{conn: &readers{pipeConn: pipeConn{make(chan *pluginpb.ExchangeRequest), make(chan *pluginpb.ExchangeResponse, 10)}}}
		served := make(chan error, 1)
		go func() { served <- Serve(context.Background(), s.conn, echo(release)) }()
		defer func() {
			close(release)
			close(s.conn.in)
			if err := <-served; err != nil {
				t.Error(err)
			}
		}()
		for _, after := range []time.Duration{
			0, 0, look / 2, look - 1, look, look + 1, 2*look - 1, 2 * look, 2*look + 1, 3 * look, time.Hour, 0,
		} {
			s.round(t, release, after)
		}
		s.quick(t)
		held, _ := s.send(t, "hold")
		time.Sleep(10 * look) // and nothing comes
		release <- struct{}{}
		s.wantReply(t, held)
		if n := s.conn.most.Load(); n != 1 {
			t.Errorf("%d read at once", n)
		}
	})
}

// TestWatchIsThere shows that a call which begins while the timer is about to go
// is looked after: what both do at once is tried often.
func TestWatchIsThere(t *testing.T) {
	ended := pipeConn{in: make(chan *pluginpb.ExchangeRequest)}
	close(ended.in) // should the timer find that the call takes long
	for range 20000 {
		s := &server{start: time.Now(), conn: ended, broken: make(chan error, 1)}
		s.owned.Store(1)
		s.watched.Store(true)
		looked, ready := make(chan struct{}), make(chan struct{})
		go func() {
			defer close(looked)
			close(ready)
			s.watch(1)()
		}()
		<-ready
		there := false
		s.relieved(func() {
			<-looked
			there = s.watched.Load() || s.own.Load() == 0 // or it has found the call to take long
		})
		if !there {
			t.Fatal("no timer looks at a call that is under way")
		}
	}
}
