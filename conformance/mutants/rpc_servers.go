package mutants

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"fairlead.dev"
	"fairlead.dev/conformance"
	"fairlead.dev/rpc"
	rpcdriver "fairlead.dev/rpc/driver"
)

// rpcServerMutants break rules about finding, losing and limiting servers.
var rpcServerMutants = []Mutant{
	{
		Name: "rpc-cancel-lost", Breaks: "the end of a call at the client does not reach the server", CaughtBy: cases("rpc/cancel"),
		Open: carriedBy("mem://", carrying{client: func(s rpcdriver.Stream) rpcdriver.Stream { return neverCloses{s} }}),
	},
	{
		Name: "rpc-loss-unseen", Breaks: "an end does not notice that the other one is gone",
		CaughtBy: cases("rpc/server-gone", "rpc/client-gone"),
		Open: carriedBy("mem://rpc-loss-unseen", carrying{
			client: func(s rpcdriver.Stream) rpcdriver.Stream { return blind{s} },
			server: func(s rpcdriver.Stream) rpcdriver.Stream { return blind{s} },
		}),
	},
	{
		Name: "rpc-stop-unseen", Breaks: "the client of a server that stops hears nothing", CaughtBy: cases("rpc/stop"),
		Open: carriedBy("mem://", carrying{
			client: func(s rpcdriver.Stream) rpcdriver.Stream { return blind{s} },
			server: func(s rpcdriver.Stream) rpcdriver.Stream {
				return framed{Stream: s, out: each(func(f *rpcdriver.Frame) bool { return f.Status.Code == 0 })}
			},
		}),
	},
	{
		Name: "rpc-ends-withheld", Breaks: "what a server sends waits until the client has ended its direction",
		CaughtBy: cases("rpc/ping-pong", "rpc/half-close", "rpc/server-ends-early"),
		Open:     carriedBy("mem://", carrying{client: func(s rpcdriver.Stream) rpcdriver.Stream { return newWithholding(s) }}),
	},
	{
		Name: "rpc-no-server-hangs", Breaks: "a call that nobody serves waits for its deadline", CaughtBy: cases("rpc/no-server"),
		Open: carriedBy("mem://", carrying{open: func(ctx context.Context, next opening, c rpcdriver.StreamConfig) (rpcdriver.Stream, error) {
			s, err := next(ctx, c)
			if fairlead.CodeOf(err) == fairlead.Unavailable {
				<-ctx.Done()
			}
			return s, err
		}}),
	},
	{
		Name: "rpc-two-servers", Breaks: "the third server of a provider is never reached", CaughtBy: cases("rpc/load-balance"),
		Open: carriedBy("mem://", carrying{listener: func(l rpcdriver.Listener, nth int) rpcdriver.Listener {
			if nth == 3 {
				_ = l.Close(context.Background())
				return newSilent()
			}
			return l
		}}),
	},
	{
		Name: "rpc-close-kills", Breaks: "a listener that closes ends the calls that it accepted", CaughtBy: cases("rpc/graceful-stop"),
		Open: carriedBy("mem://", carrying{listener: func(l rpcdriver.Listener, _ int) rpcdriver.Listener { return &killing{Listener: l} }}),
	},
	{
		Name: "rpc-answers-late", Breaks: "an answer is still here when its server has said that all calls have ended", CaughtBy: cases("rpc/rolling"),
		Open: carriedBy("mem://rpc-answers-late", carrying{server: func(s rpcdriver.Stream) rpcdriver.Stream { return late{s} }}),
	},
	{
		Name: "rpc-close-drops", Breaks: "a listener that closes drops the call that it was about to give", CaughtBy: cases("rpc/rolling"),
		Open: carriedBy("mem://rpc-close-drops", carrying{listener: func(l rpcdriver.Listener, _ int) rpcdriver.Listener { return newEager(l) }}),
	},
	{
		Name: "rpc-not-shared", Breaks: "every Open of a URL has servers of its own", CaughtBy: cases("rpc/shared"),
		Open: func() conformance.Opener {
			var opened atomic.Int64
			return func(ctx context.Context) (fairlead.Provider, error) {
				return fairlead.Open(ctx, fmt.Sprintf("mem://rpc-not-shared-%d", opened.Add(1)))
			}
		}(),
	},
	{
		Name: "rpc-credit-unearned", Breaks: "credits are given back when a message is taken from the sender, not when it is read",
		CaughtBy: cases("rpc/flow-download", "rpc/flow-upload"),
		Open: carriedBy("mem://", carrying{
			client: func(s rpcdriver.Stream) rpcdriver.Stream { return newCrediting(s) },
			server: func(s rpcdriver.Stream) rpcdriver.Stream { return newCrediting(s) },
		}),
	},
	rpcRestartMutant(),
}

// rpcAbsentMutants allow the calls of a claim that they did not make at first.
func rpcAbsentMutants() []Mutant {
	var mutants []Mutant
	for name, claim := range map[string]fairlead.Claim{
		"full-duplex": rpc.FullDuplex, "flow-control": rpc.FlowControl, "no-server": rpc.FastNoResponder, "load-balance": rpc.LoadBalance,
	} {
		mutants = append(mutants, Mutant{
			Name: "rpc-unclaimed-" + name, Breaks: "what was not claimed is let through: " + string(claim),
			CaughtBy: cases("rpc/absent-" + name),
			Open:     drifting(unclaim(fairlead.RPC, claim)),
		})
	}
	return mutants
}

// neverCloses is an end whose Close the other end does not see.
type neverCloses struct{ rpcdriver.Stream }

func (neverCloses) Close(context.Context) error { return nil }

// blind is an end that keeps waiting when the other one has gone.
type blind struct{ rpcdriver.Stream }

func (b blind) Recv(ctx context.Context) ([]rpcdriver.Frame, error) {
	frames, err := b.Stream.Recv(ctx)
	if err != nil {
		<-ctx.Done()
	}
	return frames, err
}

// withholding is a client's end that receives nothing before it has sent its last
// message.
type withholding struct {
	rpcdriver.Stream
	once  sync.Once
	ended chan struct{}
}

func newWithholding(s rpcdriver.Stream) *withholding {
	return &withholding{Stream: s, ended: make(chan struct{})}
}

func (w *withholding) Send(ctx context.Context, frames []rpcdriver.Frame) error {
	for _, f := range frames {
		if f.Kind == rpcdriver.FrameHalfClose {
			w.once.Do(func() { close(w.ended) })
		}
	}
	return w.Stream.Send(ctx, frames)
}

func (w *withholding) Recv(ctx context.Context) ([]rpcdriver.Frame, error) {
	select {
	case <-w.ended:
	case <-ctx.Done():
	}
	return w.Stream.Recv(ctx)
}

// silent is a listener that no client reaches.
type silent struct {
	once   sync.Once
	closed chan struct{}
}

func newSilent() *silent { return &silent{closed: make(chan struct{})} }

func (s *silent) Accept(ctx context.Context) (rpcdriver.Incoming, error) {
	select {
	case <-s.closed:
		return rpcdriver.Incoming{}, fairlead.Errorf(fairlead.Closed, "the listener is closed")
	case <-ctx.Done():
		return rpcdriver.Incoming{}, fairlead.ContextError(ctx)
	}
}

func (s *silent) Close(context.Context) error {
	s.once.Do(func() { close(s.closed) })
	return nil
}

// killing is a listener whose Close ends its calls.
type killing struct {
	rpcdriver.Listener
	mu       sync.Mutex
	accepted []rpcdriver.Stream
}

func (k *killing) Accept(ctx context.Context) (rpcdriver.Incoming, error) {
	in, err := k.Listener.Accept(ctx)
	k.mu.Lock()
	defer k.mu.Unlock()
	if err == nil {
		k.accepted = append(k.accepted, in.Stream)
	}
	return in, err
}

func (k *killing) Close(ctx context.Context) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, s := range k.accepted {
		_ = s.Close(ctx)
	}
	return k.Listener.Close(ctx)
}

// late is an end that sends after the sender's call has returned.
type late struct{ rpcdriver.Stream }

func (l late) Send(ctx context.Context, frames []rpcdriver.Frame) error {
	time.AfterFunc(10*time.Millisecond, func() { _ = l.Stream.Send(context.WithoutCancel(ctx), frames) })
	return nil
}

func (l late) Close(ctx context.Context) error {
	time.AfterFunc(20*time.Millisecond, func() { _ = l.Stream.Close(context.WithoutCancel(ctx)) })
	return nil
}

// eager is a listener that takes the next call before Accept asks for it, and holds
// it for a while. So there is nearly always a call that its Close drops.
type eager struct {
	rpcdriver.Listener
	taken chan rpcdriver.Incoming
	life  context.Context
	end   context.CancelFunc
}

func newEager(l rpcdriver.Listener) *eager {
	e := &eager{Listener: l, taken: make(chan rpcdriver.Incoming)}
	e.life, e.end = context.WithCancel(context.Background())
	go e.take()
	return e
}

func (e *eager) take() {
	for {
		in, err := e.Listener.Accept(e.life)
		if err != nil {
			e.end()
			return
		}
		if !e.handOver(in) {
			_ = in.Stream.Close(context.Background())
		}
	}
}

// handOver returns false if the listener is closed before Accept has the call.
func (e *eager) handOver(in rpcdriver.Incoming) bool {
	select {
	case <-time.After(checkPause):
	case <-e.life.Done():
		return false
	}
	select {
	case e.taken <- in:
		return true
	case <-e.life.Done():
		return false
	}
}

func (e *eager) Accept(ctx context.Context) (rpcdriver.Incoming, error) {
	select {
	case in := <-e.taken:
		return in, nil
	case <-ctx.Done():
		return rpcdriver.Incoming{}, fairlead.ContextError(ctx)
	case <-e.life.Done():
		return rpcdriver.Incoming{}, fairlead.Errorf(fairlead.Closed, "the listener is closed")
	}
}

func (e *eager) Close(ctx context.Context) error {
	e.end()
	return e.Listener.Close(ctx)
}

// crediting is an end that grants itself the credit for its messages.
type crediting struct {
	rpcdriver.Stream
	received chan []rpcdriver.Frame
}

func newCrediting(s rpcdriver.Stream) *crediting {
	return &crediting{Stream: s, received: make(chan []rpcdriver.Frame, 1<<16)}
}

func (c *crediting) Send(ctx context.Context, frames []rpcdriver.Frame) error {
	cost := 0
	for _, f := range frames {
		cost += f.Cost()
	}
	if cost > 0 {
		c.received <- []rpcdriver.Frame{{Kind: rpcdriver.FrameCredit, Credit: cost}}
	}
	return c.Stream.Send(ctx, frames)
}

// Recv looks for credits while it waits for the other end's frames.
func (c *crediting) Recv(ctx context.Context) ([]rpcdriver.Frame, error) {
	waiting, cancel := context.WithCancel(ctx)
	defer cancel()
	type received struct {
		frames []rpcdriver.Frame
		err    error
	}
	arrived := make(chan received, 1)
	go func() {
		frames, err := c.Stream.Recv(waiting)
		arrived <- received{frames, err}
	}()
	select {
	case frames := <-c.received:
		cancel()
		if r := <-arrived; r.err == nil {
			frames = append(frames, r.frames...)
		}
		return frames, nil
	case r := <-arrived:
		return r.frames, r.err
	}
}

// rpcRestartMutant returns a mutant whose servers are forgotten when the
// backend is killed.
func rpcRestartMutant() Mutant {
	var killed atomic.Bool
	return Mutant{
		Name: "rpc-restart-forgets", Breaks: "servers are not reached any more once the backend was down", CaughtBy: cases("rpc/restart"),
		Control: func() conformance.Control { return forgets{&killed} },
		Open: carriedBy("mem://", carrying{open: func(ctx context.Context, next opening, c rpcdriver.StreamConfig) (rpcdriver.Stream, error) {
			if killed.Load() {
				return nil, fairlead.Errorf(fairlead.Unavailable, "no server listens for the service %q", c.Service)
			}
			return next(ctx, c)
		}}),
	}
}

type forgets struct{ killed *atomic.Bool }

// Kill implements [conformance.Control].
func (f forgets) Kill(context.Context) error { f.killed.Store(true); return nil }

// Start implements [conformance.Control].
func (f forgets) Start(context.Context) error { return nil }
