package wire

import (
	"context"
	"io"
	"net"
	"testing"

	"fairlead.dev/plugins/internal/pluginpb/fairlead/plugin/v1"
)

// breakingConn is a host's connection that breaks just as the caller of the call
// that was sent gives up.
type breakingConn struct {
	giveUp        func()
	interruptible bool // so that the caller reads
	answered      bool // the reply arrives before the connection breaks
	sent          chan *pluginpb.Call
	closed        chan struct{}
}

func (d *breakingConn) Send(f *pluginpb.ExchangeRequest) (func() error, error) {
	for _, c := range f.Calls {
		d.sent <- c
	}
	return nil, nil
}

func (d *breakingConn) Recv() (*pluginpb.ExchangeResponse, error) {
	var c *pluginpb.Call
	select {
	case c = <-d.sent:
	case <-d.closed:
		return nil, net.ErrClosed
	}
	if !d.answered {
		d.giveUp()
		return nil, io.EOF
	}
	d.answered = false
	d.sent <- c // for the next Recv
	return &pluginpb.ExchangeResponse{Replies: []*pluginpb.Reply{{Id: c.Id}}}, nil
}

func (d *breakingConn) Interrupt() bool { return d.interruptible }

func (d *breakingConn) Close() error {
	close(d.closed)
	return nil
}

// TestBreakingWhileGivingUp shows that the error of a call which was sent says
// so, whether the end of the context or of the link is noticed first. The order
// is random, so the test runs many times. A reply that arrived before takes
// precedence.
func TestBreakingWhileGivingUp(t *testing.T) {
	for name, d := range map[string]breakingConn{
		"the caller reads":               {interruptible: true},
		"a goroutine reads":              {},
		"the caller reads, and a reply":  {interruptible: true, answered: true},
		"a goroutine reads, and a reply": {answered: true},
	} {
		t.Run(name, func(t *testing.T) {
			for range 1000 {
				ctx, cancel := context.WithCancel(context.Background())
				conn := d
				conn.giveUp, conn.sent, conn.closed = cancel, make(chan *pluginpb.Call, 1), make(chan struct{})
				l := newLink(&conn)
				r, err := l.Call(ctx, newCall("k", nil), nil)
				lost, ok := err.(*Lost) // not wrapped: callers use a type assertion
				if sent := ok && lost.Sent; sent == d.answered || (r != nil) != d.answered {
					t.Fatalf("got %v, %v", r, err)
				}
				l.Close()
				cancel()
			}
		})
	}
}
