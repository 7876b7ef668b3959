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
	s := &server{ctx: ctx, conn: conn, handle: handle, cancels: map[uint64]context.CancelFunc{}, broken: make(chan error, 1)}
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
// such calls are quick: the goroutine that reads carries it out itself, which
// spares a lone caller a change of goroutines. Should it take longer than
// expected, another goroutine reads on.
type server struct {
	ctx    context.Context
	conn   PluginConn
	handle Handler
	out    outbox[*pluginpb.Reply]
	calls  sync.WaitGroup // and whoever reads
	broken chan error
	quick  atomic.Bool // the last call was

	mu      sync.Mutex
	cancels map[uint64]context.CancelFunc
}

// soon is what counts as quick.
const soon = 50 * time.Microsecond

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
			do := s.begin(c)
			if i == len(f.Calls)-1 && len(f.Cancels) == 0 && s.quick.Load() {
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
	s.calls.Add(1) // for the relief
	relief := time.AfterFunc(soon, func() {
		defer s.calls.Done()
		s.read()
	})
	call()
	if !relief.Stop() {
		return false
	}
	s.calls.Done()
	return true
}

// begin returns what carries out a call and replies.
func (s *server) begin(c *pluginpb.Call) func() {
	ctx, cancel := bounded(s.ctx, c.TimeoutNanos)
	s.mu.Lock()
	s.cancels[c.Id] = cancel
	s.mu.Unlock()
	return func() {
		began := time.Now()
		r := s.handle(ctx, c)
		s.quick.Store(time.Since(began) < soon)
		r.Id = c.Id
		s.cancel(c.Id)
		s.out.put(tooLarge(r))
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
