package remote

import (
	"context"
	"log/slog"
	"net"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
	"google.golang.org/grpc"

	"fairlead.dev/plugins/internal/pluginpb/fairlead/plugin/v1"
	"fairlead.dev/plugins/internal/wire"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// fakePlugin is a plugin that answers with functions of the test. It runs in this
// process and is connected by a pipe, so that tests can use virtual time.
type fakePlugin struct {
	pluginpb.PluginServiceClient // nil: no test calls the other methods

	description *pluginpb.Description
	// describe answers Describe. If it is nil or returns nil, Describe waits for
	// the end of its context.
	describe func(generation uint64) *pluginpb.Description
	// answer answers a call.
	answer func(context.Context, *pluginpb.Call) *pluginpb.Reply

	mu    sync.Mutex
	calls []*pluginpb.Call // all that have arrived
}

// Describe implements the control plane.
func (p *fakePlugin) Describe(ctx context.Context, r *pluginpb.DescribeRequest, _ ...grpc.CallOption) (*pluginpb.DescribeResponse, error) {
	if p.describe != nil && ctx.Err() == nil {
		if d := p.describe(r.Generation); d != nil {
			return &pluginpb.DescribeResponse{Description: d}, nil
		}
	}
	<-ctx.Done()
	return nil, ctx.Err()
}

// Close implements the control plane.
func (p *fakePlugin) Close(context.Context, *pluginpb.CloseRequest, ...grpc.CallOption) (*pluginpb.CloseResponse, error) {
	return &pluginpb.CloseResponse{}, nil
}

func (p *fakePlugin) handleCall(ctx context.Context, c *pluginpb.Call) *pluginpb.Reply {
	p.mu.Lock()
	p.calls = append(p.calls, c)
	p.mu.Unlock()
	return p.answer(ctx, c)
}

// selectCalls returns the results of ask for the calls that have arrived and that
// ask selects, in order.
func selectCalls[B any](p *fakePlugin, ask func(*pluginpb.Call) (B, bool)) (all []B) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range p.calls {
		if b, ok := ask(c); ok {
			all = append(all, b)
		}
	}
	return all
}

// openProvider returns a provider over a session of the plugin. It is closed when
// the test ends.
func (p *fakePlugin) openProvider(t *testing.T) Provider {
	t.Helper()
	var serving sync.WaitGroup
	r, err := New(t.Context(), func(ctx context.Context) (*Session, error) {
		ours, theirs := net.Pipe()
		serving.Go(func() { p.serveConn(t, theirs) })
		link, err := wire.Attach(ctx, ours, &pluginpb.Attach{})
		return &Session{ID: 1, Control: p, Link: link, Description: p.description}, err
	}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := r.Close(context.Background()); err != nil {
			t.Error(err)
		}
		serving.Wait()
	})
	return r
}

func (p *fakePlugin) serveConn(t *testing.T, conn net.Conn) {
	defer conn.Close()
	c := wire.SocketConn(conn, time.Minute)
	if f, err := c.Recv(); err != nil || f.Attach == nil {
		t.Errorf("the attach: %v, %v", f, err)
		return
	}
	if err := c.Send(&pluginpb.ExchangeResponse{}); err != nil {
		t.Error(err)
	}
	_ = wire.Serve(context.Background(), c, p.route)
}

// replyToOpening answers calls that open and close handles: a handle is the id of
// the call that opened it. It returns nil for other calls.
func replyToOpening(c *pluginpb.Call) *pluginpb.Reply {
	switch c.Body.(type) {
	case *pluginpb.Call_KvOpenStore, *pluginpb.Call_KvWatch, *pluginpb.Call_PubsubOpenTopic,
		*pluginpb.Call_PubsubOpenSubscription, *pluginpb.Call_RpcOpenStream:
		return &pluginpb.Reply{Handle: c.Id}
	case *pluginpb.Call_CloseHandle:
		return &pluginpb.Reply{}
	}
	return nil
}

// closedHandles returns the handles that the host has closed.
func closedHandles(p *fakePlugin) []uint64 {
	return selectCalls(p, func(c *pluginpb.Call) (uint64, bool) { return c.Handle, c.GetCloseHandle() != nil })
}

func errorReply(code pluginpb.Code) *pluginpb.Reply {
	return &pluginpb.Reply{Error: &pluginpb.Error{Code: code, Message: "why"}}
}

func (p *fakePlugin) route(*pluginpb.Call) (wire.Method, wire.Class) { return p.handleCall, wire.Slow }
