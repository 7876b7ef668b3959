package wire

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"fairlead.dev/plugins/internal/pluginpb/fairlead/plugin/v1"
)

// hostConn moves frames for a host. Send is called by one goroutine at a time,
// and so is Recv.
type hostConn interface {
	Send(*pluginpb.ExchangeRequest) error
	// Recv returns os.ErrDeadlineExceeded after Interrupt, and loses nothing
	// by that.
	Recv() (*pluginpb.ExchangeResponse, error)
	// Interrupt makes a Recv that waits return, or the next one. It reports
	// false if the connection cannot.
	Interrupt() bool
	Close() error
}

// Lost is the error of a call whose reply will not come.
type Lost struct {
	// Sent: the call was handed over, and may have been carried out.
	Sent  bool
	Cause error
}

// Error implements error.
func (l *Lost) Error() string { return l.Cause.Error() }

// Unwrap returns the cause: the context's error if the caller gave up.
func (l *Lost) Unwrap() error { return l.Cause }

// Link is the host's end of a session's data plane. Its methods may be called
// concurrently.
//
// Calls that are made at the same time share frames: whoever finds nobody
// sending sends what has gathered. Where the connection can be interrupted no
// goroutine reads: one of those who wait for a reply reads for all, so that a
// lone caller gets its reply without a change of goroutines.
type Link struct {
	conn hostConn
	out  outbox[*pluginpb.ExchangeRequest]
	turn chan struct{} // holds the right to read

	ids  atomic.Uint64
	mu   sync.Mutex
	wait map[uint64]chan *pluginpb.Reply // nil when the link is broken
	err  error
	done chan struct{}
}

// newLink takes a connection that is attached.
func newLink(conn hostConn) *Link {
	l := &Link{
		conn: conn, turn: make(chan struct{}, 1),
		wait: map[uint64]chan *pluginpb.Reply{}, done: make(chan struct{}),
	}
	l.out = outbox[*pluginpb.ExchangeRequest]{send: conn.Send, broken: l.fail}
	if conn.Interrupt() {
		l.turn <- struct{}{}
	} else {
		go l.read()
	}
	return l
}

// Done is closed when the link is broken or closed.
func (l *Link) Done() <-chan struct{} { return l.done }

// Err returns why the link is broken, after Done.
func (l *Link) Err() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.err
}

// Close breaks the link.
func (l *Link) Close() { l.fail(errors.New("the link is closed")) }

func (l *Link) fail(cause error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.wait == nil {
		return
	}
	l.wait, l.err = nil, cause
	close(l.done)
	go l.conn.Close() // it may wait for somebody who sends
}

// Call makes a call and waits for its reply. It sets the call's id, and its
// timeout from the context. The error is a [*Lost]; errors of the plugin are in
// the reply.
func (l *Link) Call(ctx context.Context, c *pluginpb.Call) (*pluginpb.Reply, error) {
	if err := ctx.Err(); err != nil {
		return nil, &Lost{Cause: err}
	}
	if deadline, ok := ctx.Deadline(); ok {
		c.TimeoutNanos = max(int64(time.Until(deadline)), 1)
	}
	c.Id = l.ids.Add(1)
	answer := make(chan *pluginpb.Reply, 1)
	if err := l.expect(c.Id, answer); err != nil {
		return nil, &Lost{Cause: err}
	}
	l.out.put(func(f *pluginpb.ExchangeRequest) *pluginpb.ExchangeRequest {
		if f == nil {
			f = &pluginpb.ExchangeRequest{}
		}
		f.Calls = append(f.Calls, c)
		return f
	})
	return l.await(ctx, c.Id, answer)
}

func (l *Link) expect(id uint64, answer chan *pluginpb.Reply) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.wait == nil {
		return l.err
	}
	l.wait[id] = answer
	return nil
}

func (l *Link) await(ctx context.Context, id uint64, answer chan *pluginpb.Reply) (*pluginpb.Reply, error) {
	for {
		select {
		case r := <-answer:
			return r, nil
		default:
		}
		select {
		case r := <-answer:
			return r, nil
		case <-l.done:
			return l.last(answer)
		case <-ctx.Done():
			l.giveUp(id)
			return nil, &Lost{Sent: true, Cause: ctx.Err()}
		case <-l.turn:
			l.readFor(ctx, answer)
		}
	}
}

// last returns a reply that came before the link broke.
func (l *Link) last(answer chan *pluginpb.Reply) (*pluginpb.Reply, error) {
	select {
	case r := <-answer:
		return r, nil
	default:
		return nil, &Lost{Sent: true, Cause: l.Err()}
	}
}

// giveUp tells the plugin that nobody waits any more.
func (l *Link) giveUp(id uint64) {
	l.mu.Lock()
	delete(l.wait, id)
	l.mu.Unlock()
	l.out.put(func(f *pluginpb.ExchangeRequest) *pluginpb.ExchangeRequest {
		if f == nil {
			f = &pluginpb.ExchangeRequest{}
		}
		f.Cancels = append(f.Cancels, id)
		return f
	})
}

// readFor reads frames until the answer is there or the context ends, and
// passes on the right to read.
func (l *Link) readFor(ctx context.Context, answer chan *pluginpb.Reply) {
	stop := context.AfterFunc(ctx, func() { l.conn.Interrupt() })
	for len(answer) == 0 && ctx.Err() == nil && l.receive() {
	}
	stop()
	l.turn <- struct{}{}
}

// read reads frames as long as there are any.
func (l *Link) read() {
	for l.receive() {
	}
}

// receive takes a frame and hands out its replies. It returns false when the
// link is broken.
func (l *Link) receive() bool {
	f, err := l.conn.Recv()
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
		return true
	case err != nil:
		l.fail(err)
		return false
	}
	if f.End != nil {
		l.fail(fmt.Errorf("the plugin ended the session: %s", f.End.Message))
		return false
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, r := range f.Replies {
		if answer, ok := l.wait[r.Id]; ok {
			delete(l.wait, r.Id)
			answer <- r
		}
	}
	return l.wait != nil
}
