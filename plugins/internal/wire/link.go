package wire

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"fairlead.dev"
	"fairlead.dev/plugins/internal/pluginpb/fairlead/plugin/v1"
)

// Lost is the error of a call whose reply did not come.
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
// goroutine of its own reads: one of those who wait for a reply reads for all,
// so that a lone caller gets its reply without a change of goroutines.
type Link struct {
	conn hostConn
	out  outbox[outgoing]
	turn chan struct{} // holds the right to read

	ids  atomic.Uint64
	mu   sync.Mutex
	wait map[uint64]waiting // nil when the link is broken
	err  error
	done chan struct{}
}

// waiting is who gets a reply.
type waiting struct {
	answer chan *pluginpb.Reply
	late   func(*pluginpb.Reply) // instead, when the caller is gone
}

// outgoing is a call, or that a caller gave one up.
type outgoing struct {
	call   *pluginpb.Call
	cancel uint64
}

func (o outgoing) size() int {
	if o.call == nil {
		return 0
	}
	return o.call.SizeVT()
}

// newLink takes a connection that is attached.
func newLink(conn hostConn) *Link {
	l := &Link{
		conn: conn, turn: make(chan struct{}, 1),
		wait: map[uint64]waiting{}, done: make(chan struct{}),
	}
	l.out = outbox[outgoing]{send: l.send, size: outgoing.size, broken: l.fail}
	if conn.Interrupt() {
		l.turn <- struct{}{}
	} else {
		go l.read()
	}
	return l
}

func (l *Link) send(items []outgoing) (func() error, error) {
	f := &pluginpb.ExchangeRequest{}
	for _, o := range items {
		if o.call != nil {
			f.Calls = append(f.Calls, o.call)
		} else {
			f.Cancels = append(f.Cancels, o.cancel)
		}
	}
	return l.conn.Send(f)
}

// Done is closed when the link is broken or closed.
func (l *Link) Done() <-chan struct{} { return l.done }

// Close breaks the link.
func (l *Link) Close() { l.fail(errors.New("the connection to the plugin is closed")) }

func (l *Link) fail(cause error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.wait == nil {
		return
	}
	l.wait, l.err = nil, cause
	close(l.done)
	l.conn.Close()
}

// Call makes a call and waits for its reply. It sets the call's id, and its
// timeout from the context. A reply that comes when the caller has gone goes to
// late, if that is not nil. The error is a [*Lost], or TooLarge; errors of the
// plugin are in the reply.
func (l *Link) Call(ctx context.Context, c *pluginpb.Call, late func(*pluginpb.Reply)) (*pluginpb.Reply, error) {
	if err := ctx.Err(); err != nil {
		return nil, &Lost{Cause: err}
	}
	if deadline, ok := ctx.Deadline(); ok {
		c.TimeoutNanos = int64(max(min(time.Until(deadline), math.MaxInt64-slack)+slack, 1))
	}
	if size := c.SizeVT(); size > maxMessage {
		return nil, fairlead.Errorf(fairlead.TooLarge, "the call has %d bytes; one of a plugin has %d at most", size, maxMessage)
	}
	c.Id = l.ids.Add(1)
	answer := make(chan *pluginpb.Reply, 1)
	if err := l.expect(c.Id, waiting{answer: answer}); err != nil {
		return nil, &Lost{Cause: err}
	}
	l.out.put(outgoing{call: c})
	r, err := l.await(ctx, answer)
	switch {
	case err == nil:
		return r, nil
	case l.broken(): // maybe since the context has ended
		return l.last(answer)
	default:
		return l.giveUp(ctx, c.Id, answer, late)
	}
}

// giveUp tells the plugin that the caller's context has ended, and waits a
// little for what came of the call.
func (l *Link) giveUp(ctx context.Context, id uint64, answer chan *pluginpb.Reply, late func(*pluginpb.Reply)) (*pluginpb.Reply, error) {
	l.out.put(outgoing{cancel: id})
	still, cancel := context.WithTimeout(context.WithoutCancel(ctx), grace)
	defer cancel()
	if r, err := l.await(still, answer); err == nil {
		return r, nil
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	select {
	case r := <-answer: // just now
		return r, nil
	default:
	}
	if l.wait != nil {
		l.wait[id] = waiting{late: late}
	}
	return nil, &Lost{Sent: true, Cause: ctx.Err()}
}

func (l *Link) expect(id uint64, w waiting) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.wait == nil {
		return l.err
	}
	l.wait[id] = w
	return nil
}

func (l *Link) broken() bool {
	select {
	case <-l.done:
		return true
	default:
		return false
	}
}

// await waits for an answer, and reads for all while nobody else does.
func (l *Link) await(ctx context.Context, answer chan *pluginpb.Reply) (*pluginpb.Reply, error) {
	for {
		select { // an answer that is there counts before all else
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
			return nil, ctx.Err()
		case <-l.turn:
			l.readFor(ctx, answer)
		}
	}
}

// last returns a reply that came before the link broke.
func (l *Link) last(answer chan *pluginpb.Reply) (*pluginpb.Reply, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	select {
	case r := <-answer:
		return r, nil
	default:
		return nil, &Lost{Sent: true, Cause: l.err}
	}
}

// readFor reads frames until the answer is there or the context ends, and
// passes on the right to read.
func (l *Link) readFor(ctx context.Context, answer chan *pluginpb.Reply) {
	if ctx.Done() != nil {
		stop := context.AfterFunc(ctx, func() { l.conn.Interrupt() })
		defer stop()
	}
	for len(answer) == 0 && ctx.Err() == nil && l.receive() {
	}
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
		l.fail(fmt.Errorf("the connection to the plugin broke: %w", err))
		return false
	}
	if f.End != nil {
		l.fail(fmt.Errorf("the plugin ended the session: %s", f.End.Message))
		return false
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, r := range f.Replies {
		l.deliver(r)
	}
	return l.wait != nil
}

func (l *Link) deliver(r *pluginpb.Reply) {
	w, ok := l.wait[r.Id]
	if !ok {
		return
	}
	delete(l.wait, r.Id)
	switch {
	case w.answer != nil:
		w.answer <- r
	case w.late != nil:
		go w.late(r)
	}
}
