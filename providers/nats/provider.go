package nats

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	natsgo "github.com/nats-io/nats.go"

	"fairlead.dev"
	"fairlead.dev/internal/await"
	"fairlead.dev/providers"
)

func init() {
	providers.Register(providers.Scheme{
		Name:     "nats",
		Help:     "NATS 2.15 with JetStream: nats://[user:password@]host:port[,host:port…]",
		Settings: settings(),
		Open:     open,
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

	handles handles

	life  context.Context // ends with Close
	end   context.CancelFunc
	tasks sync.WaitGroup

	reconnected event // there is a new connection
	kicks       chan struct{}
}

func open(ctx context.Context, s providers.Settings) (fairlead.Provider, error) {
	c, err := newConfig(s)
	if err != nil {
		return nil, err
	}
	p := &provider{config: c, logger: s.Logger, calls: newCaller(), kicks: make(chan struct{}, 1)}
	p.life, p.end = context.WithCancel(context.Background())
	p.streams = newCarrier(p)
	if err := p.connect(ctx); err != nil {
		p.end()
		return nil, p.explain(err)
	}
	d, err := p.look(ctx)
	if err != nil {
		p.end()
		p.nc.Close()
		return nil, p.explain(err)
	}
	p.Live = providers.NewLive(d)
	p.tasks.Go(p.watchServers)
	return p, nil
}

// explain adds where the provider tried to connect.
func (p *provider) explain(err error) error {
	var e *fairlead.Error
	if !errors.As(err, &e) || e.Code == fairlead.Canceled {
		return err
	}
	return fairlead.Errorf(e.Code, "%s: %w", p.endpoint(), err)
}

func (p *provider) endpoint() string { return strings.Join(p.config.hosts, ",") }

// Close implements [fairlead.Provider].
func (p *provider) Close(ctx context.Context) error {
	if !p.Shut() {
		return nil
	}
	p.handles.closeAll(ctx)
	p.settle(ctx)
	p.streams.each(func(s *stream) { _ = s.Close(ctx) })
	p.streams.answers.empty()
	_ = p.flush(ctx) // else what the handles gave back comes again later
	p.end()
	p.calls.fail(closedError("provider"), func(waiting) bool { return true })
	p.nc.Close()
	p.tasks.Wait()
	return nil
}

// settle waits until what the server has sent to the handles was taken: calls
// that were on their way to a listener are refused, so that another server has
// them. It waits a second at most, as flush does.
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

// As implements what [fairlead.As] asks for.
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

// handles are what was opened from a provider and has to be closed with it.
type handles struct {
	mu   sync.Mutex
	open map[handle]struct{}
}

// handle is a store, or a subscription.
type handle interface {
	Close(ctx context.Context) error
}

func (h *handles) add(x handle) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.open == nil {
		h.open = map[handle]struct{}{}
	}
	h.open[x] = struct{}{}
}

func (h *handles) remove(x handle) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.open, x)
}

func (h *handles) all() []handle {
	h.mu.Lock()
	defer h.mu.Unlock()
	all := make([]handle, 0, len(h.open))
	for x := range h.open {
		all = append(all, x)
	}
	return all
}

func (h *handles) closeAll(ctx context.Context) {
	for _, x := range h.all() {
		_ = x.Close(ctx) // it gives back what it can
	}
}

// event is something that happens again and again. It has a lock of its own.
type event struct {
	mu    sync.Mutex
	count int
	again await.Signal
}

// next returns how often it has happened, and a channel that is closed when it
// happens again.
func (e *event) next() (int, <-chan struct{}) {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.count, e.again.Next()
}

func (e *event) fire() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.count++
	e.again.Fire()
}

// randomName returns 12 characters that nobody else draws.
func randomName() string {
	var b [6]byte
	_, _ = rand.Read(b[:]) // never fails
	return hex.EncodeToString(b[:])
}
