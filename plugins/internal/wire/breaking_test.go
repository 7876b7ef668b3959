package wire

import (
	"context"
	"io"
	"net"
	"testing"

	"fairlead.dev/plugins/internal/pluginpb/fairlead/plugin/v1"
)

// doomed is a connection that breaks at the moment when the caller of the call
// that was sent gives up.
type doomed struct {
	giveUp   func()
	own      bool // it can be interrupted: who calls reads
	answered bool // the reply comes before it breaks
	sent     chan *pluginpb.Call
	gone     chan struct{}
}

func (d *doomed) Send(f *pluginpb.ExchangeRequest) (func() error, error) {
	for _, c := range f.Calls {
		d.sent <- c
	}
	return nil, nil
}

func (d *doomed) Recv() (*pluginpb.ExchangeResponse, error) {
	var c *pluginpb.Call
	select {
	case c = <-d.sent:
	case <-d.gone:
		return nil, net.ErrClosed
	}
	if !d.answered {
		d.giveUp()
		return nil, io.EOF
	}
	d.answered = false
	d.sent <- c // for the Recv after this one
	return &pluginpb.ExchangeResponse{Replies: []*pluginpb.Reply{{Id: c.Id}}}, nil
}

func (d *doomed) Interrupt() bool { return d.own }

func (d *doomed) Close() error {
	close(d.gone)
	return nil
}

// TestBreakingWhileGivingUp shows that a call which was sent is said to be so,
// whether its caller or the link is found to be gone first: which one, nobody
// decides, so it is tried often. A reply that came before counts for more.
func TestBreakingWhileGivingUp(t *testing.T) {
	for name, d := range map[string]doomed{
		"who calls reads":                {own: true},
		"a goroutine reads":              {},
		"who calls reads, and a reply":   {own: true, answered: true},
		"a goroutine reads, and a reply": {answered: true},
	} {
		t.Run(name, func(t *testing.T) {
			for range 1000 {
				ctx, cancel := context.WithCancel(context.Background())
				conn := d
				conn.giveUp, conn.sent, conn.gone = cancel, make(chan *pluginpb.Call, 1), make(chan struct{})
				l := newLink(&conn)
				r, err := l.Call(ctx, call("k", nil), nil)
				lost, ok := err.(*Lost) // as it is: who calls asks for no more
				if sent := ok && lost.Sent; sent == d.answered || (r != nil) != d.answered {
					t.Fatalf("got %v, %v", r, err)
				}
				l.Close()
				cancel()
			}
		})
	}
}
