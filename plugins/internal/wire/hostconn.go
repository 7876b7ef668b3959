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
	// Send sends a frame, or begins to and returns the function that sends the
	// rest.
	Send(*pluginpb.ExchangeRequest) (sendRest func() error, err error)
	// Recv returns os.ErrDeadlineExceeded after Interrupt. No bytes are lost by
	// that.
	Recv() (*pluginpb.ExchangeResponse, error)
	// Interrupt makes the Recv that is blocked return, or else the next one. It
	// reports false if the connection cannot be interrupted.
	Interrupt() bool
	Close() error
}

// Attach makes a socket connection the data plane of a session. The context
// bounds the attaching only. The link owns the connection, also after an error.
func Attach(ctx context.Context, conn net.Conn, a *pluginpb.Attach) (*Link, error) {
	c := &hostSocket{frames{conn: conn}}
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	err := c.writeMessage(&pluginpb.ExchangeRequest{Attach: a})
	if err == nil {
		err = checkAttached(c.Recv())
	}
	if !stop() && err == nil {
		err = ctx.Err()
	}
	if err != nil {
		conn.Close()
		return nil, fmt.Errorf("attaching to the plugin's frame socket: %w", err)
	}
	return newLink(c), nil
}

// AttachStream makes an Exchange stream the data plane of a session. The
// context bounds the attaching only.
func AttachStream(ctx context.Context, control pluginpb.PluginServiceClient, a *pluginpb.Attach) (*Link, error) {
	streamCtx, cancel := context.WithCancel(context.Background())
	stop := context.AfterFunc(ctx, cancel)
	stream, err := control.Exchange(streamCtx, grpc.ForceCodecV2(Codec{}))
	if err == nil {
		err = stream.Send(&pluginpb.ExchangeRequest{Attach: a})
	}
	if err == nil || errors.Is(err, io.EOF) { // after EOF, Recv returns the cause
		err = checkAttached(stream.Recv())
	}
	if !stop() && err == nil {
		err = ctx.Err()
	}
	if err != nil {
		cancel()
		return nil, fmt.Errorf("attaching to the plugin's Exchange stream: %w", err)
	}
	return newLink(&hostStream{stream, cancel}), nil
}

// checkAttached returns the plugin's reason if it has refused the attach.
func checkAttached(f *pluginpb.ExchangeResponse, err error) error {
	if err == nil && f.End != nil {
		err = errors.New(f.End.Message)
	}
	return err
}

// hostSocket is the host's end of a socket connection.
type hostSocket struct{ frames }

func (c *hostSocket) Send(f *pluginpb.ExchangeRequest) (func() error, error) {
	return c.beginWrite(f)
}

func (c *hostSocket) Recv() (*pluginpb.ExchangeResponse, error) {
	var f pluginpb.ExchangeResponse
	return &f, c.readMessage(f.UnmarshalVT)
}

func (c *hostSocket) Interrupt() bool {
	_ = c.conn.SetReadDeadline(time.Unix(1, 0))
	return true
}

func (c *hostSocket) Close() error { return c.conn.Close() }

// hostStream is the host's end of a gRPC stream.
type hostStream struct {
	stream grpc.BidiStreamingClient[pluginpb.ExchangeRequest, pluginpb.ExchangeResponse]
	cancel context.CancelFunc
}

// Send leaves all of the sending to the rest: sending blocks while the plugin
// does not read, and cannot be interrupted.
func (c *hostStream) Send(f *pluginpb.ExchangeRequest) (func() error, error) {
	return func() error { return c.stream.Send(f) }, nil
}

func (c *hostStream) Recv() (*pluginpb.ExchangeResponse, error) { return c.stream.Recv() }

func (c *hostStream) Interrupt() bool { return false }

func (c *hostStream) Close() error {
	c.cancel()
	return nil
}
