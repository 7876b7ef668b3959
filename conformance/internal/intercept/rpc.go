package intercept

import (
	"context"
	"sync"

	"fairlead.dev"
	"fairlead.dev/rpc/driver"
)

// Listen implements [driver.Carrier].
func (p provider) Listen(ctx context.Context, c driver.ListenConfig) (driver.Listener, error) {
	return open(ctx, p, fairlead.RPC, Call{Op: "rpc.Listen", Target: c.Service, Input: c},
		func(d driver.Carrier) (driver.Listener, error) { return d.Listen(ctx, c) },
		func(l driver.Listener) driver.Listener { return &listener{l, c.Service, p.hooks} })
}

// OpenStream implements [driver.Carrier].
func (p provider) OpenStream(ctx context.Context, c driver.StreamConfig) (driver.Stream, error) {
	return open(ctx, p, fairlead.RPC, Call{Op: "rpc.OpenStream", Target: c.Service, Input: c},
		func(d driver.Carrier) (driver.Stream, error) { return d.OpenStream(ctx, c) },
		func(s driver.Stream) driver.Stream { return stream{s, c.Service, p.hooks} })
}

// Register implements [driver.Directory].
func (p provider) Register(ctx context.Context, c driver.RegisterConfig) (driver.Registration, error) {
	return open(ctx, p, fairlead.RPC, Call{Op: "rpc.Register", Target: c.Service, Input: c},
		func(d driver.Directory) (driver.Registration, error) { return d.Register(ctx, c) },
		func(r driver.Registration) driver.Registration { return registration{r, c.Service, p.hooks} })
}

// WatchEndpoints implements [driver.Directory].
func (p provider) WatchEndpoints(ctx context.Context, c driver.WatchConfig) (driver.EndpointWatcher, error) {
	return open(ctx, p, fairlead.RPC, Call{Op: "rpc.WatchEndpoints", Target: c.Service, Input: c},
		func(d driver.Directory) (driver.EndpointWatcher, error) { return d.WatchEndpoints(ctx, c) },
		func(w driver.EndpointWatcher) driver.EndpointWatcher { return endpoints{w, c.Service, p.hooks} })
}

type listener struct {
	driver.Listener
	service string
	hooks   *Hooks
}

// Accept implements [driver.Listener].
func (l *listener) Accept(ctx context.Context) (driver.Incoming, error) {
	in, err := run(ctx, l.hooks, Call{Op: "rpc.Accept", Target: l.service}, func() (driver.Incoming, error) { return l.Listener.Accept(ctx) })
	if err == nil && in.Stream != nil {
		in.Stream = stream{in.Stream, l.service, l.hooks}
	}
	return in, err
}

// Close implements [driver.Listener].
func (l *listener) Close(ctx context.Context) error {
	return runClose(ctx, l.hooks, Call{Op: "rpc.Listener.Close", Target: l.service}, l.Listener.Close)
}

type stream struct {
	driver.Stream
	service string
	hooks   *Hooks
}

// Send implements [driver.Stream].
func (s stream) Send(ctx context.Context, frames []driver.Frame) error {
	return runPlain(ctx, s.hooks, Call{Op: "rpc.Send", Target: s.service, Input: frames}, func() error { return s.Stream.Send(ctx, frames) })
}

// Recv implements [driver.Stream].
func (s stream) Recv(ctx context.Context) ([]driver.Frame, error) {
	return run(ctx, s.hooks, Call{Op: "rpc.Recv", Target: s.service}, func() ([]driver.Frame, error) { return s.Stream.Recv(ctx) })
}

// Close implements [driver.Stream].
func (s stream) Close(ctx context.Context) error {
	return runClose(ctx, s.hooks, Call{Op: "rpc.Stream.Close", Target: s.service}, s.Stream.Close)
}

type registration struct {
	driver.Registration
	service string
	hooks   *Hooks
}

// Keep implements [driver.Registration].
func (r registration) Keep(ctx context.Context) error {
	return runPlain(ctx, r.hooks, Call{Op: "rpc.Keep", Target: r.service}, func() error { return r.Registration.Keep(ctx) })
}

// Close implements [driver.Registration].
func (r registration) Close(ctx context.Context) error {
	return runClose(ctx, r.hooks, Call{Op: "rpc.Registration.Close", Target: r.service}, r.Registration.Close)
}

type endpoints struct {
	driver.EndpointWatcher
	service string
	hooks   *Hooks
}

// Next implements [driver.EndpointWatcher].
func (w endpoints) Next(ctx context.Context) ([]driver.Endpoint, error) {
	return run(ctx, w.hooks, Call{Op: "rpc.Endpoints.Next", Target: w.service}, func() ([]driver.Endpoint, error) { return w.EndpointWatcher.Next(ctx) })
}

// Close implements [driver.EndpointWatcher].
func (w endpoints) Close(ctx context.Context) error {
	return runClose(ctx, w.hooks, Call{Op: "rpc.Endpoints.Close", Target: w.service}, w.EndpointWatcher.Close)
}

// listeners are the wrapped listeners of a run, by the provider's own: a client finds
// listeners of other providers in the same process.
type listeners struct{ wrapped sync.Map } // driver.Listener → *localListener

// localProvider is a provider whose carrier is a [driver.Local].
type localProvider struct {
	provider
	localCarrier
}

// Listen implements [driver.Carrier].
func (p localProvider) Listen(ctx context.Context, c driver.ListenConfig) (driver.Listener, error) {
	l, err := p.provider.Listen(ctx, c)
	if err != nil || l == nil {
		return l, err
	}
	own := &localListener{l.(*listener), p.all}
	p.all.wrapped.Store(own.Listener, own)
	return own, nil
}

type localListener struct {
	*listener
	all *listeners
}

// Close implements [driver.Listener].
func (l *localListener) Close(ctx context.Context) error {
	defer l.all.wrapped.Delete(l.Listener)
	return l.listener.Close(ctx)
}

// localCarrier implements [driver.Local].
type localCarrier struct {
	Local driver.Local
	all   *listeners
	hooks *Hooks
}

// NextListener implements [driver.Local].
func (c localCarrier) NextListener(ctx context.Context, service string, accepts func(driver.Listener) bool) (driver.Listener, error) {
	l, err := run(ctx, c.hooks, Call{Op: "rpc.NextListener", Target: service}, func() (driver.Listener, error) {
		return c.Local.NextListener(ctx, service, func(l driver.Listener) bool { return accepts(c.all.find(l)) })
	})
	if err != nil || l == nil {
		return nil, err
	}
	return c.all.find(l), nil
}

// Life implements [driver.Local].
func (c localCarrier) Life() context.Context { return c.Local.Life() }

// find returns the listener as Listen returned it.
func (all *listeners) find(l driver.Listener) driver.Listener {
	if own, ok := all.wrapped.Load(l); ok {
		return own.(*localListener)
	}
	return l
}
