package nats

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	natsgo "github.com/nats-io/nats.go"

	"fairlead.dev"
	"fairlead.dev/providers"
)

func init() {
	providers.Register(providers.Scheme{
		Name:     "nats",
		Help:     "NATS 2.15 with JetStream: nats://[user:password@]host:port[,host:port…]",
		Settings: settings(),
		Open:     open,
		Inspect:  inspect,
	})
}

// provider is an open provider. It lives until Close.
type provider struct {
	*providers.Live
	config      config
	logger      *slog.Logger
	nc          *natsgo.Conn
	calls       *caller
	streams     *carrier
	prober      prober
	syncsAlways atomic.Bool // as far as is known

	warned map[string]string // by stream: see checkOpenStreams

	handles providers.Handles[handle]
	life    *providers.Lifetime

	reconnected reconnections
	probeSoon   providers.Trigger
}

func open(ctx context.Context, s providers.Settings) (fairlead.Provider, error) {
	c, err := newConfig(s)
	if err != nil {
		return nil, err
	}
	p := &provider{
		config: c, logger: s.Logger, calls: newCaller(), warned: map[string]string{},
		life: providers.NewLifetime("provider"), probeSoon: providers.NewTrigger(),
	}
	p.streams = newCarrier(p)
	if err := p.start(ctx); err != nil {
		p.life.End()
		return nil, providers.AddEndpoint(err, p.endpoint())
	}
	p.life.Go(p.keepDescription)
	return p, nil
}

// start connects and probes. It leaves no connection if it fails.
func (p *provider) start(ctx context.Context) error {
	if err := p.connect(ctx); err != nil {
		return err
	}
	d, err := p.probeDescription(ctx)
	if err != nil {
		p.nc.Close()
		return err
	}
	p.Live = providers.NewLive(d)
	return nil
}

func (p *provider) endpoint() string { return strings.Join(p.config.hosts, ",") }

// Close implements [fairlead.Provider].
func (p *provider) Close(ctx context.Context) error {
	if !p.Shut() {
		return nil
	}
	_ = p.handles.CloseAll(ctx) // messages that are not given back come again later
	p.settle(ctx)
	p.streams.each(func(s *stream) { _ = s.Close(ctx) })
	p.streams.answers.empty()
	_ = p.flush(ctx) // otherwise messages that the handles gave back come again later
	p.life.End()
	p.calls.failWaiting(p.life.Err(), func(waiting) bool { return true })
	p.nc.Close()
	p.life.Drain()
	return nil
}

// settle waits until the client has processed what the server has sent to the
// handles: calls that were on their way to a listener are refused, so that
// another server takes them. It waits at most a second, as flush does.
func (p *provider) settle(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	taken := make(chan struct{})
	if p.flush(ctx) != nil || p.nc.Barrier(func() { close(taken) }) != nil {
		return
	}
	select {
	case <-taken:
	case <-ctx.Done():
	}
}

// flush waits until the server has all that was sent to it.
func (p *provider) flush(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	return p.nc.FlushWithContext(ctx)
}

// As implements the method that [fairlead.As] calls.
func (p *provider) As(target any) bool {
	t, ok := target.(**natsgo.Conn)
	if ok {
		*t = p.nc
	}
	return ok
}

// describe says what holds on servers in the state st.
func (p *provider) describe(st state) fairlead.Description {
	d := fairlead.Description{
		Provider: "nats",
		System:   "nats",
		Version:  st.version,
		Endpoint: p.endpoint(),
		Notes:    st.notes(p.config),
	}
	if st.serves() {
		d.Facets = append(d.Facets, p.kvFacet(st), p.pubsubFacet(st))
	}
	d.Facets = append(d.Facets, p.rpcFacet())
	return d
}

// handle is a store, a topic, a subscription or a listener.
type handle interface {
	Close(ctx context.Context) error
}

// reconnections counts how often the client has reconnected.
type reconnections struct {
	mu    sync.Mutex
	count int
	next  providers.Signal
}

// current returns the count, and a channel that is closed when it grows.
func (r *reconnections) current() (int, <-chan struct{}) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.count, r.next.Next()
}

func (r *reconnections) increment() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.count++
	r.next.Fire()
}

// randomName returns 12 random characters.
func randomName() string {
	var b [6]byte
	_, _ = rand.Read(b[:]) // never fails
	return hex.EncodeToString(b[:])
}
