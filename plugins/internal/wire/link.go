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
	// Sent means that the call was handed to the connection. The plugin may have
	// carried it out.
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
// Concurrent calls share frames: a caller that finds the outbox idle sends all
// that is queued. Where the connection can be interrupted, no goroutine is
// dedicated to reading: one of the callers that wait for a reply reads for all
// of them. A lone caller thus gets its reply without a switch of goroutines.
type Link struct {
	conn      hostConn
	outbox    outbox[request]
	readRight chan struct{} // holds one element: the right to read

	lastID  atomic.Uint64
	mu      sync.Mutex
	pending map[uint64]pendingCall // nil once the link is broken
	// abandoned counts the pending calls whose callers have gone.
	abandoned int
	err       error // why it broke
	done      chan struct{}
}

// pendingCall says where the reply of a call goes.
type pendingCall struct {
	reply  chan *pluginpb.Reply
	onLate func(*pluginpb.Reply) // set instead once the caller has gone; may be nil
}

// request is an item of a host's frame: a call, or the cancellation of one.
type request struct {
	call   *pluginpb.Call
	cancel uint64 // the id of the call that was given up
}

func (r request) size() int {
	if r.call == nil {
		return 0
	}
	return r.call.SizeVT()
}

// newLink returns a link over a connection that is attached.
func newLink(conn hostConn) *Link {
	l := &Link{
		conn: conn, readRight: make(chan struct{}, 1),
		pending: map[uint64]pendingCall{}, done: make(chan struct{}),
	}
	l.outbox = outbox[request]{sendFrame: l.sendFrame, size: request.size, onError: l.breakLink}
	if conn.Interrupt() {
		l.readRight <- struct{}{}
	} else {
		go l.readFrames()
	}
	return l
}

func (l *Link) sendFrame(items []request) (func() error, error) {
	f := &pluginpb.ExchangeRequest{}
	for _, r := range items {
		if r.call != nil {
			f.Calls = append(f.Calls, r.call)
		} else {
			f.Cancels = append(f.Cancels, r.cancel)
		}
	}
	return l.conn.Send(f)
}

// Done is closed when the link is broken or closed.
func (l *Link) Done() <-chan struct{} { return l.done }

// Close breaks the link.
func (l *Link) Close() { l.Break(errors.New("the connection to the plugin is closed")) }

// Break breaks the link for a reason.
func (l *Link) Break(cause error) { l.breakLink(cause) }

// Err says why the link is broken. It returns nil for a link that is not.
func (l *Link) Err() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.err
}

func (l *Link) breakLink(cause error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.pending == nil {
		return
	}
	l.pending, l.err = nil, cause
	close(l.done)
	l.conn.Close()
}

// Call makes a call and waits for its reply. It sets the call's id, and its
// timeout from the context. A reply that arrives after the caller has gone is
// passed to onLate, unless that is nil. The error is a [*Lost], or TooLarge;
// errors of the plugin are in the reply.
func (l *Link) Call(ctx context.Context, c *pluginpb.Call, onLate func(*pluginpb.Reply)) (*pluginpb.Reply, error) {
	if err := ctx.Err(); err != nil {
		return nil, &Lost{Cause: err}
	}
	if deadline, ok := ctx.Deadline(); ok {
		c.TimeoutNanos = int64(max(min(time.Until(deadline), math.MaxInt64-timeoutSlack)+timeoutSlack, 1))
	}
	if size := c.SizeVT(); size > maxItem {
		return nil, fairlead.Errorf(fairlead.TooLarge, "the call has %d bytes; a plugin takes at most %d", size, maxItem)
	}
	c.Id = l.lastID.Add(1)
	reply := make(chan *pluginpb.Reply, 1)
	if err := l.addPending(c.Id, pendingCall{reply: reply}); err != nil {
		return nil, &Lost{Cause: err}
	}
	l.outbox.enqueue(request{call: c})
	r, err := l.awaitReply(ctx, reply)
	switch {
	case err == nil:
		return r, nil
	case l.isBroken(): // possibly after the context ended
		return l.replyOrLost(reply)
	default:
		return l.cancelCall(ctx, c.Id, reply, onLate)
	}
}

// cancelCall tells the plugin that the caller's context has ended, and waits for
// the call's outcome for replyGrace.
func (l *Link) cancelCall(ctx context.Context, id uint64, reply chan *pluginpb.Reply, onLate func(*pluginpb.Reply)) (*pluginpb.Reply, error) {
	l.outbox.enqueue(request{cancel: id})
	graceCtx, cancel := context.WithTimeout(context.WithoutCancel(ctx), replyGrace)
	defer cancel()
	if r, err := l.awaitReply(graceCtx, reply); err == nil {
		return r, nil
	}
	if r := l.abandonCall(id, reply, onLate); r != nil {
		return r, nil
	}
	return nil, &Lost{Sent: true, Cause: ctx.Err()}
}

// abandonCall leaves the reply of a call to onLate. It returns the reply if that
// has just arrived.
func (l *Link) abandonCall(id uint64, reply chan *pluginpb.Reply, onLate func(*pluginpb.Reply)) *pluginpb.Reply {
	l.mu.Lock()
	select {
	case r := <-reply:
		l.mu.Unlock()
		return r
	default:
	}
	if l.pending != nil {
		l.pending[id] = pendingCall{onLate: onLate}
		l.abandoned++
	}
	tooMany := l.abandoned > maxAbandoned
	l.mu.Unlock()
	if tooMany {
		l.breakLink(fmt.Errorf("the plugin has left %d calls unanswered whose callers had given up", maxAbandoned))
	}
	return nil
}

func (l *Link) addPending(id uint64, c pendingCall) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.pending == nil {
		return l.err
	}
	if len(l.pending) >= maxPending {
		return fmt.Errorf("%d calls wait for the plugin, the most that can; make fewer calls at once", maxPending)
	}
	l.pending[id] = c
	return nil
}

func (l *Link) isBroken() bool {
	select {
	case <-l.done:
		return true
	default:
		return false
	}
}

// awaitReply waits for a reply. It reads for all callers while no other
// goroutine does.
func (l *Link) awaitReply(ctx context.Context, reply chan *pluginpb.Reply) (*pluginpb.Reply, error) {
	for {
		select { // a reply that has arrived takes precedence
		case r := <-reply:
			return r, nil
		default:
		}
		select {
		case r := <-reply:
			return r, nil
		case <-l.done:
			return l.replyOrLost(reply)
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-l.readRight:
			l.readUntilReplied(ctx, reply)
		}
	}
}

// replyOrLost returns the reply if it arrived before the link broke.
func (l *Link) replyOrLost(reply chan *pluginpb.Reply) (*pluginpb.Reply, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	select {
	case r := <-reply:
		return r, nil
	default:
		return nil, &Lost{Sent: true, Cause: l.err}
	}
}

// readUntilReplied reads frames until the reply has arrived or the context ends,
// and then passes the right to read on.
func (l *Link) readUntilReplied(ctx context.Context, reply chan *pluginpb.Reply) {
	if ctx.Done() != nil {
		stop := context.AfterFunc(ctx, func() { l.conn.Interrupt() })
		defer stop()
	}
	for len(reply) == 0 && ctx.Err() == nil && l.receiveFrame() {
	}
	l.readRight <- struct{}{}
}

// readFrames reads frames until the link is broken.
func (l *Link) readFrames() {
	for l.receiveFrame() {
	}
}

// receiveFrame reads a frame and delivers its replies. It returns false when the
// link is broken.
func (l *Link) receiveFrame() bool {
	f, err := l.conn.Recv()
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
		return true
	case err != nil:
		l.breakLink(fmt.Errorf("the connection to the plugin broke: %w", err))
		return false
	}
	if f.End != nil {
		l.breakLink(fmt.Errorf("the plugin ended the session: %s", f.End.Message))
		return false
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, r := range f.Replies {
		l.deliverReply(r)
	}
	return l.pending != nil
}

func (l *Link) deliverReply(r *pluginpb.Reply) {
	c, ok := l.pending[r.Id]
	if !ok {
		return
	}
	delete(l.pending, r.Id)
	switch {
	case c.reply != nil:
		c.reply <- r
	default:
		if l.abandoned--; c.onLate != nil {
			go c.onLate(r)
		}
	}
}
