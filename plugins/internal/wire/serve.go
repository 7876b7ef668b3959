package wire

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
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
	return &f, c.read(&f)
}

// StreamConn returns the plugin's end of an Exchange stream.
func StreamConn(s grpc.BidiStreamingServer[pluginpb.ExchangeRequest, pluginpb.ExchangeResponse]) PluginConn {
	return s
}

// Handler carries out a call. It returns soon when the context ends.
type Handler func(ctx context.Context, c *pluginpb.Call) *pluginpb.Reply

// Serve carries out the calls that come, each in a goroutine of its own, until
// the connection breaks; it returns nil if the host closed it. All calls have
// ended then. The context ends all calls, and does not end Serve.
func Serve(ctx context.Context, conn PluginConn, handle Handler) error {
	ctx, cancel := context.WithCancel(ctx)
	s := &server{handle: handle, cancels: map[uint64]context.CancelFunc{}}
	s.out = outbox[*pluginpb.Reply]{
		send: func(replies []*pluginpb.Reply) (func() error, error) {
			return nil, conn.Send(&pluginpb.ExchangeResponse{Replies: replies})
		},
		size:   (*pluginpb.Reply).SizeVT,
		broken: func(error) { cancel() }, // Recv fails as well
	}
	defer s.calls.Wait()
	defer cancel()
	for {
		f, err := conn.Recv()
		switch {
		case errors.Is(err, io.EOF), errors.Is(err, net.ErrClosed):
			return nil
		case err != nil:
			return err
		}
		for _, c := range f.Calls {
			s.begin(ctx, c)
		}
		for _, id := range f.Cancels {
			s.cancel(id)
		}
	}
}

// server is what one connection has under way.
type server struct {
	handle Handler
	out    outbox[*pluginpb.Reply]
	calls  sync.WaitGroup

	mu      sync.Mutex
	cancels map[uint64]context.CancelFunc
}

func (s *server) begin(ctx context.Context, c *pluginpb.Call) {
	ctx, cancel := bounded(ctx, c.TimeoutNanos)
	s.mu.Lock()
	s.cancels[c.Id] = cancel
	s.mu.Unlock()
	s.calls.Go(func() {
		r := s.handle(ctx, c)
		r.Id = c.Id
		s.cancel(c.Id)
		s.out.put(tooLarge(r))
	})
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
