package wire

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"

	"fairlead.dev/plugins/internal/pluginpb/fairlead/plugin/v1"
)

// PluginConn moves frames for a plugin. One goroutine at a time sends, and one
// receives.
type PluginConn interface {
	Send(*pluginpb.ExchangeResponse) error
	Recv() (*pluginpb.ExchangeRequest, error)
}

// SocketConn returns the plugin's end of a socket's connection, on which the
// first frame has to come within a time.
func SocketConn(conn net.Conn, first time.Duration) PluginConn {
	return &pluginSocket{frames{conn: conn}, first}
}

type pluginSocket struct {
	frames
	first time.Duration // 0 when the first frame has come
}

func (c *pluginSocket) Send(f *pluginpb.ExchangeResponse) error {
	_, err := c.write(f, false)
	return err
}

func (c *pluginSocket) Recv() (*pluginpb.ExchangeRequest, error) {
	if c.first > 0 {
		_ = c.conn.SetReadDeadline(time.Now().Add(c.first))
		defer c.conn.SetReadDeadline(time.Time{})
		c.first = 0
	}
	var f pluginpb.ExchangeRequest
	return &f, c.read(func(b []byte) error {
		// Calls share one copy of the frame: drivers keep none of their bytes.
		return f.UnmarshalVTUnsafe(bytes.Clone(b))
	})
}

// StreamConn returns the plugin's end of an Exchange stream.
func StreamConn(s grpc.BidiStreamingServer[pluginpb.ExchangeRequest, pluginpb.ExchangeResponse]) PluginConn {
	return s
}

// Handler carries out a call. It returns soon when the context ends.
type Handler func(ctx context.Context, c *pluginpb.Call) *pluginpb.Reply

// Serve carries out the calls that come until the connection breaks; it returns
// nil if the host closed it. All calls have ended then. The context ends all
// calls, and does not end Serve.
func Serve(ctx context.Context, conn PluginConn, handle Handler) error {
	ctx, cancel := context.WithCancel(ctx)
	s := &server{ctx: ctx, conn: conn, handle: handle, cancels: map[uint64]context.CancelFunc{}, broken: make(chan error, 1), start: time.Now()}
	s.out = outbox[*pluginpb.Reply]{
		send: func(replies []*pluginpb.Reply) (func() error, error) {
			return nil, conn.Send(&pluginpb.ExchangeResponse{Replies: replies})
		},
		size:   (*pluginpb.Reply).SizeVT,
		broken: func(error) { cancel() }, // Recv fails as well
	}
	s.calls.Go(s.read)
	err := <-s.broken
	cancel()
	s.calls.Wait()
	if errors.Is(err, io.EOF) || errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}

// server is what one connection has under way.
//
// Calls run in goroutines of their own, but the last one of a frame, as long as
// calls of its kind are quick: the goroutine that reads carries it out itself,
// which spares a lone caller a change of goroutines. Should it take longer than
// expected, another goroutine reads on; until then nobody does, so a call that
// waits by its nature is none of these.
type server struct {
	ctx    context.Context
	conn   PluginConn
	handle Handler
	out    outbox[*pluginpb.Reply]
	calls  sync.WaitGroup // and whoever reads
	broken chan error
	quick  [kinds]atomic.Bool // the last call of the kind was

	start   time.Time
	own     atomic.Int64 // since start, when whoever reads began a call; 0 if it reads
	owned   atomic.Int64 // such calls, ever
	watched atomic.Bool  // there is a timer that looks at own

	mu      sync.Mutex
	cancels map[uint64]context.CancelFunc
}

const (
	soon = 50 * time.Microsecond // counts as quick
	look = 5 * time.Millisecond  // how often whoever reads is looked at
)

// read reads until the connection breaks, or another goroutine has taken over.
func (s *server) read() {
	for {
		f, err := s.conn.Recv()
		if err != nil {
			s.broken <- err
			return
		}
		var own func()
		for i, c := range f.Calls {
			kind := kindOf(c)
			do := s.begin(c, kind)
			if i == len(f.Calls)-1 && len(f.Cancels) == 0 && s.quick[kind].Load() {
				own = do
				break
			}
			s.calls.Go(do)
		}
		for _, id := range f.Cancels {
			s.cancel(id)
		}
		if own != nil && !s.relieved(own) {
			return
		}
	}
}

// relieved carries out a call, and reports whether the caller still reads.
func (s *server) relieved(call func()) bool {
	began := time.Since(s.start).Nanoseconds() + 1
	s.own.Store(began)
	s.owned.Add(1)
	if !s.watched.Swap(true) {
		time.AfterFunc(look, s.watch(s.owned.Load()))
	}
	call()
	return s.own.CompareAndSwap(began, 0)
}

// watch returns what looks whether whoever reads has been at one call for long,
// and looks again as long as there are such calls. One timer for many calls
// costs less than one for each.
func (s *server) watch(seen int64) func() {
	return func() {
		// Whoever is relieved still counts in s.calls, and nobody else reads:
		// Serve has not ended.
		if began := s.own.Load(); began > 0 && time.Since(s.start).Nanoseconds()-began > soon.Nanoseconds() && s.own.CompareAndSwap(began, 0) {
			s.calls.Go(s.read)
		}
		now := s.owned.Load()
		if now == seen && s.own.Load() == 0 {
			s.watched.Store(false)
			// A call that began just now has found the timer still there.
			if s.owned.Load() == now || s.watched.Swap(true) {
				return
			}
		}
		time.AfterFunc(look, s.watch(now))
	}
}

// begin returns what carries out a call and replies.
func (s *server) begin(c *pluginpb.Call, kind kind) func() {
	ctx, cancel := bounded(s.ctx, c.TimeoutNanos)
	s.mu.Lock()
	s.cancels[c.Id] = cancel
	s.mu.Unlock()
	return func() {
		began := time.Now()
		r := s.handle(ctx, c)
		s.quick[kind].Store(kind != otherKind && time.Since(began) < soon)
		r.Id = c.Id
		s.cancel(c.Id)
		s.out.put(tooLarge(r))
	}
}

// kind is a kind of calls that take about as long as each other.
type kind int

const (
	otherKind kind = iota // waits for something to come, or is rare: never quick
	reading
	writing
	publishing
	settling
	opening
	sending
	kinds
)

func kindOf(c *pluginpb.Call) kind {
	switch b := c.Body.(type) {
	case *pluginpb.Call_KvDo:
		for _, op := range b.KvDo.GetOps() {
			if op.Kind != pluginpb.KVOpKind_KV_OP_KIND_GET {
				return writing
			}
		}
		return reading
	case *pluginpb.Call_PubsubSend:
		return publishing
	case *pluginpb.Call_PubsubSettle:
		return settling
	case *pluginpb.Call_RpcOpenStream:
		return opening
	case *pluginpb.Call_RpcSend:
		return sending
	default:
		return otherKind
	}
}

func bounded(ctx context.Context, timeout int64) (context.Context, context.CancelFunc) {
	if timeout > 0 {
		return context.WithTimeout(ctx, time.Duration(timeout))
	}
	return context.WithCancel(ctx)
}

// cancel ends a call, if it is under way.
func (s *server) cancel(id uint64) {
	s.mu.Lock()
	cancel, ok := s.cancels[id]
	delete(s.cancels, id)
	s.mu.Unlock()
	if ok {
		cancel()
	}
}

// tooLarge replaces a reply that fits in no frame.
func tooLarge(r *pluginpb.Reply) *pluginpb.Reply {
	if size := r.SizeVT(); size > maxMessage {
		return &pluginpb.Reply{Id: r.Id, Error: &pluginpb.Error{
			Code:    pluginpb.Code_CODE_TOO_LARGE,
			Message: fmt.Sprintf("the answer has %d bytes; one of a plugin has %d at most: ask for less at once", size, maxMessage),
		}}
	}
	return r
}
