package wire

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"fairlead.dev/plugins/internal/pluginpb/fairlead/plugin/v1"
)

// Class groups the calls that take about as long as each other.
type Class int

// The classes.
const (
	// Slow calls wait for an event, or are rare. They never count as quick.
	Slow Class = iota
	Reads
	Writes
	Publishes
	Settles
	StreamOpens
	StreamSends
	classes
)

// Method carries out a call. It returns soon after the context ends.
type Method func(ctx context.Context, c *pluginpb.Call) *pluginpb.Reply

// Router returns the method and the class of a call. It is called once for each
// call, in the order of arrival, and must not block.
type Router func(c *pluginpb.Call) (Method, Class)

// Serve carries out the calls that arrive until the connection breaks. It
// returns nil if the host closed the connection. All calls have ended by then.
// The end of the context ends all calls; it does not end Serve.
func Serve(ctx context.Context, conn PluginConn, route Router) error {
	ctx, cancel := context.WithCancel(ctx)
	s := &server{ctx: ctx, conn: conn, route: route, cancels: map[uint64]context.CancelFunc{}, readErr: make(chan error, 1), start: time.Now()}
	s.outbox = outbox[*pluginpb.Reply]{
		sendFrame: func(replies []*pluginpb.Reply) (func() error, error) {
			defer s.unanswered.Add(-int64(len(replies)))
			return nil, conn.Send(&pluginpb.ExchangeResponse{Replies: replies})
		},
		size:    (*pluginpb.Reply).SizeVT,
		onError: func(error) { cancel() }, // Recv fails as well
	}
	s.calls.Go(s.readFrames)
	err := <-s.readErr
	cancel()
	s.calls.Wait()
	if errors.Is(err, io.EOF) || errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}

// server is the state of one connection.
//
// Each call runs in a goroutine of its own, except the last one of a frame
// while calls of its class are quick: the reading goroutine runs that call
// inline, which spares a lone caller a switch of goroutines. If an inline call
// takes longer than expected, another goroutine takes over reading. Until then
// no goroutine reads, so a slow call is never run inline.
type server struct {
	ctx     context.Context
	conn    PluginConn
	route   Router
	outbox  outbox[*pluginpb.Reply]
	calls   sync.WaitGroup // running calls, and the goroutine that reads
	readErr chan error
	// unanswered counts the calls whose replies the host has not taken.
	unanswered atomic.Int64
	quick      [classes]atomic.Bool // whether the last call of the class was quick

	start       time.Time
	inlineSince atomic.Int64 // when the inline call began, since start; 0 while reading
	inlineCalls atomic.Int64 // the number of inline calls so far
	watching    atomic.Bool  // a timer checks inlineSince

	mu      sync.Mutex
	cancels map[uint64]context.CancelFunc
}

const (
	quickLimit    = 50 * time.Microsecond // a quick call takes less
	watchInterval = 5 * time.Millisecond  // between checks of the inline call
)

// readFrames reads until the connection breaks or another goroutine has taken
// over reading.
func (s *server) readFrames() {
	for {
		f, err := s.conn.Recv()
		if err != nil {
			s.readErr <- err
			return
		}
		if n := s.unanswered.Add(int64(len(f.Calls))); n > maxUnanswered {
			s.readErr <- fmt.Errorf("the host has sent %d calls that are not answered; at most %d are possible", n, maxUnanswered)
			return
		}
		var inline func()
		for i, c := range f.Calls {
			method, class := s.route(c)
			run := s.prepareCall(c, method, class)
			if i == len(f.Calls)-1 && len(f.Cancels) == 0 && s.quick[class].Load() {
				inline = run
				break
			}
			s.calls.Go(run)
		}
		for _, id := range f.Cancels {
			s.cancelCall(id)
		}
		if inline != nil && !s.runInline(inline) {
			return
		}
	}
}

// prepareCall registers a call as running, so that it can be canceled. It
// returns the function that runs the call and replies.
func (s *server) prepareCall(c *pluginpb.Call, method Method, class Class) func() {
	ctx, cancel := withTimeout(s.ctx, c.TimeoutNanos)
	s.mu.Lock()
	s.cancels[c.Id] = cancel
	s.mu.Unlock()
	return func() {
		began := time.Now()
		r := method(ctx, c)
		s.quick[class].Store(class != Slow && time.Since(began) < quickLimit)
		r.Id = c.Id
		s.cancelCall(c.Id)
		s.outbox.enqueue(limitReply(r))
	}
}

// runInline runs a call in the reading goroutine. It reports whether that
// goroutine still has the task of reading.
func (s *server) runInline(run func()) bool {
	began := time.Since(s.start).Nanoseconds() + 1
	s.inlineSince.Store(began)
	s.inlineCalls.Add(1)
	if !s.watching.Swap(true) {
		time.AfterFunc(watchInterval, s.watchReader(s.inlineCalls.Load()))
	}
	run()
	return s.inlineSince.CompareAndSwap(began, 0)
}

// watchReader returns the function of a timer that replaces a reading goroutine
// which has run one call for too long. The timer restarts itself while there
// are inline calls. One timer for many calls costs less than one for each.
// seen is the number of inline calls when the timer was started.
func (s *server) watchReader(seen int64) func() {
	return func() {
		// The goroutine that is replaced still counts in s.calls, and no other
		// goroutine reads. So Serve has not returned.
		if began := s.inlineSince.Load(); began > 0 && time.Since(s.start).Nanoseconds()-began > quickLimit.Nanoseconds() && s.inlineSince.CompareAndSwap(began, 0) {
			s.calls.Go(s.readFrames)
		}
		now := s.inlineCalls.Load()
		if now == seen && s.inlineSince.Load() == 0 {
			s.watching.Store(false)
			// A call that began just before has found a timer and started none.
			if s.inlineCalls.Load() == now || s.watching.Swap(true) {
				return
			}
		}
		time.AfterFunc(watchInterval, s.watchReader(now))
	}
}

func withTimeout(ctx context.Context, nanos int64) (context.Context, context.CancelFunc) {
	if nanos > 0 {
		return context.WithTimeout(ctx, time.Duration(nanos))
	}
	return context.WithCancel(ctx)
}

// cancelCall cancels the context of a call, if the call is running.
func (s *server) cancelCall(id uint64) {
	s.mu.Lock()
	cancel, ok := s.cancels[id]
	delete(s.cancels, id)
	s.mu.Unlock()
	if ok {
		cancel()
	}
}

// limitReply replaces a reply that is too large for a frame with an error.
func limitReply(r *pluginpb.Reply) *pluginpb.Reply {
	if size := r.SizeVT(); size > maxItem {
		return &pluginpb.Reply{Id: r.Id, Error: &pluginpb.Error{
			Code:    pluginpb.Code_CODE_TOO_LARGE,
			Message: fmt.Sprintf("the reply has %d bytes; a plugin sends at most %d: ask for less at once", size, maxItem),
		}}
	}
	return r
}
