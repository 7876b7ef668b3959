package wire

import (
	"bytes"
	"net"
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

// SocketConn returns the plugin's end of a socket connection. The first frame
// has to arrive within attachTimeout.
func SocketConn(conn net.Conn, attachTimeout time.Duration) PluginConn {
	return &pluginSocket{frames{conn: conn}, attachTimeout}
}

// StreamConn returns the plugin's end of an Exchange stream.
func StreamConn(s grpc.BidiStreamingServer[pluginpb.ExchangeRequest, pluginpb.ExchangeResponse]) PluginConn {
	return s
}

type pluginSocket struct {
	frames
	attachTimeout time.Duration // 0 after the first frame
}

func (c *pluginSocket) Send(f *pluginpb.ExchangeResponse) error { return c.writeMessage(f) }

func (c *pluginSocket) Recv() (*pluginpb.ExchangeRequest, error) {
	if c.attachTimeout > 0 {
		_ = c.conn.SetReadDeadline(time.Now().Add(c.attachTimeout))
		defer c.conn.SetReadDeadline(time.Time{})
		c.attachTimeout, c.maxFrame = 0, maxAttach
		defer func() { c.maxFrame = 0 }()
	}
	var f pluginpb.ExchangeRequest
	return &f, c.readMessage(func(b []byte) error {
		// Calls share one copy of the frame: drivers keep none of its bytes.
		return f.UnmarshalVTUnsafe(bytes.Clone(b))
	})
}
