package mutants

import (
	"context"

	"fairlead.dev"
	"fairlead.dev/conformance"
	rpcdriver "fairlead.dev/rpc/driver"
)

// carrying is a memory provider whose rpc facet is changed; a nil hook
// changes nothing.
type carrying struct {
	whole
	describe func(*fairlead.Description)
	service  func(name string) string
	call     func(*rpcdriver.Call)
	// client and server wrap the ends of a call.
	client, server func(rpcdriver.Stream) rpcdriver.Stream
	listener       func(l rpcdriver.Listener, nth int) rpcdriver.Listener
	open           func(ctx context.Context, next opening, c rpcdriver.StreamConfig) (rpcdriver.Stream, error)

	listeners int
}

type opening = func(context.Context, rpcdriver.StreamConfig) (rpcdriver.Stream, error)

// carriedBy opens memory providers of the URL with hooks.
func carriedBy(url string, hooks carrying) conformance.Opener {
	return func(ctx context.Context) (fairlead.Provider, error) {
		p, err := fairlead.Open(ctx, url)
		if err != nil {
			return nil, err
		}
		own := hooks
		own.whole = p.(whole)
		return &own, nil
	}
}

func (p *carrying) Describe(ctx context.Context) (fairlead.Description, error) {
	d, err := p.whole.Describe(ctx)
	if err == nil && p.describe != nil {
		p.describe(&d)
	}
	return d, err
}

func (p *carrying) Listen(ctx context.Context, c rpcdriver.ListenConfig) (rpcdriver.Listener, error) {
	if p.service != nil {
		c.Service = p.service(c.Service)
	}
	l, err := p.whole.Listen(ctx, c)
	if err != nil {
		return nil, err
	}
	if p.server != nil {
		l = accepting{l, p.server}
	}
	if p.listener != nil {
		p.listeners++
		l = p.listener(l, p.listeners)
	}
	return l, nil
}

// accepting is a listener whose streams are wrapped.
type accepting struct {
	rpcdriver.Listener
	wrap func(rpcdriver.Stream) rpcdriver.Stream
}

func (a accepting) Accept(ctx context.Context) (rpcdriver.Incoming, error) {
	in, err := a.Listener.Accept(ctx)
	if err == nil {
		in.Stream = a.wrap(in.Stream)
	}
	return in, err
}

func (p *carrying) OpenStream(ctx context.Context, c rpcdriver.StreamConfig) (rpcdriver.Stream, error) {
	if p.service != nil {
		c.Service = p.service(c.Service)
	}
	if p.call != nil {
		p.call(&c.Call)
	}
	next := p.whole.OpenStream
	if p.open != nil {
		next = func(ctx context.Context, c rpcdriver.StreamConfig) (rpcdriver.Stream, error) {
			return p.open(ctx, p.whole.OpenStream, c)
		}
	}
	if p.client == nil {
		return next(ctx, c)
	}
	first := c.InitialFrames
	c.InitialFrames = nil
	s, err := next(ctx, c)
	if err != nil {
		return nil, err
	}
	s = p.client(s)
	if len(first) > 0 {
		err = s.Send(ctx, first)
	}
	return s, err
}

// framed is one end of a call that changes the frames which it sends and receives;
// a nil function changes nothing.
type framed struct {
	rpcdriver.Stream
	out, in func([]rpcdriver.Frame) []rpcdriver.Frame
}

func (f framed) Send(ctx context.Context, frames []rpcdriver.Frame) error {
	if f.out != nil {
		frames = f.out(frames)
	}
	return f.Stream.Send(ctx, frames)
}

func (f framed) Recv(ctx context.Context) ([]rpcdriver.Frame, error) {
	for {
		frames, err := f.Stream.Recv(ctx)
		if err == nil && f.in != nil {
			frames = f.in(frames)
		}
		if err != nil || len(frames) > 0 {
			return frames, err
		}
	}
}

// withFrames opens memory providers whose frames pass through a filter. A filter is
// made for each direction of each call.
func withFrames(filter func() func([]rpcdriver.Frame) []rpcdriver.Frame) conformance.Opener {
	wrap := func(s rpcdriver.Stream) rpcdriver.Stream { return framed{Stream: s, out: filter()} }
	return carriedBy("mem://", carrying{client: wrap, server: wrap})
}

// withFrame opens memory providers that change single frames, and lose the frames
// for which change returns false.
func withFrame(change func(*rpcdriver.Frame) bool) conformance.Opener {
	return withFrames(func() func([]rpcdriver.Frame) []rpcdriver.Frame { return each(change) })
}

func each(change func(*rpcdriver.Frame) bool) func([]rpcdriver.Frame) []rpcdriver.Frame {
	return func(frames []rpcdriver.Frame) []rpcdriver.Frame {
		var kept []rpcdriver.Frame
		for _, f := range frames {
			if change(&f) {
				kept = append(kept, f)
			}
		}
		return kept
	}
}

// withMetadata opens memory providers that change metadata of every kind.
func withMetadata(change func([]rpcdriver.Field) []rpcdriver.Field) conformance.Opener {
	wrap := func(s rpcdriver.Stream) rpcdriver.Stream {
		return framed{Stream: s, out: each(func(f *rpcdriver.Frame) bool {
			f.Metadata = change(f.Metadata)
			return true
		})}
	}
	return carriedBy("mem://", carrying{server: wrap, call: func(c *rpcdriver.Call) { c.Metadata = change(c.Metadata) }})
}

// withStatus opens memory providers that change the status of calls.
func withStatus(change func(*rpcdriver.Status)) conformance.Opener {
	return withFrame(func(f *rpcdriver.Frame) bool {
		if f.Kind == rpcdriver.FrameTrailers {
			change(&f.Status)
		}
		return true
	})
}
