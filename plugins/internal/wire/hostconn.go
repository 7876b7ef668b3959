package wire

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"time"

	"google.golang.org/grpc"

	"fairlead.dev/plugins/internal/pluginpb/fairlead/plugin/v1"
)

// hostConn moves frames for a host. One goroutine at a time sends, and one
// receives.
type hostConn interface {
	// Send sends a frame, or begins to and returns what does the rest.
	Send(*pluginpb.ExchangeRequest) (rest func() error, err error)
	// Recv returns os.ErrDeadlineExceeded after Interrupt, and loses nothing
	// by that.
	Recv() (*pluginpb.ExchangeResponse, error)
	// Interrupt makes a Recv that waits return, or the next one. It reports
	// false if the connection cannot.
	Interrupt() bool
	Close() error
}

// Attach makes a socket's connection the data plane of a session. The context
// bounds the attaching alone. The connection belongs to the link, also after
// an error.
func Attach(ctx context.Context, conn net.Conn, a *pluginpb.Attach) (*Link, error) {
	c := &socketConn{frames{conn: conn}}
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	_, err := c.frames.write(&pluginpb.ExchangeRequest{Attach: a}, false)
	if err == nil {
		err = accepted(c.Recv())
	}
	if !stop() && err == nil {
		err = ctx.Err()
	}
	if err != nil {
		conn.Close()
		return nil, fmt.Errorf("attaching to the plugin's socket: %w", err)
	}
	return newLink(c), nil
}

// AttachStream makes an Exchange stream the data plane of a session.
func AttachStream(ctx context.Context, control pluginpb.PluginServiceClient, a *pluginpb.Attach) (*Link, error) {
	life, end := context.WithCancel(context.Background())
	stop := context.AfterFunc(ctx, end)
	stream, err := control.Exchange(life, grpc.ForceCodecV2(Codec{}))
	if err == nil {
		err = stream.Send(&pluginpb.ExchangeRequest{Attach: a})
	}
	if err == nil || errors.Is(err, io.EOF) { // then Recv says why
		err = accepted(stream.Recv())
	}
	if !stop() && err == nil {
		err = ctx.Err()
	}
	if err != nil {
		end()
		return nil, fmt.Errorf("attaching to the plugin's stream: %w", err)
	}
	return newLink(&streamConn{stream, end}), nil
}

func accepted(f *pluginpb.ExchangeResponse, err error) error {
	if err == nil && f.End != nil {
		err = errors.New(f.End.Message)
	}
	return err
}

// socketConn is a connection of a socket.
type socketConn struct{ frames }

func (c *socketConn) Send(f *pluginpb.ExchangeRequest) (func() error, error) {
	return c.write(f, true)
}

func (c *socketConn) Recv() (*pluginpb.ExchangeResponse, error) {
	var f pluginpb.ExchangeResponse
	return &f, c.read(f.UnmarshalVT)
}

func (c *socketConn) Interrupt() bool {
	_ = c.conn.SetReadDeadline(time.Unix(1, 0))
	return true
}

func (c *socketConn) Close() error { return c.conn.Close() }

// streamConn is a gRPC stream.
type streamConn struct {
	stream grpc.BidiStreamingClient[pluginpb.ExchangeRequest, pluginpb.ExchangeResponse]
	end    context.CancelFunc
}

// Send leaves the sending to the rest: it waits as long as the plugin does not
// read, and cannot be interrupted.
func (c *streamConn) Send(f *pluginpb.ExchangeRequest) (func() error, error) {
	return func() error { return c.stream.Send(f) }, nil
}

func (c *streamConn) Recv() (*pluginpb.ExchangeResponse, error) { return c.stream.Recv() }

func (c *streamConn) Interrupt() bool { return false }

func (c *streamConn) Close() error {
	c.end()
	return nil
}
