package etcd

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	clientv3 "go.etcd.io/etcd/client/v3"

	"fairlead.dev"

	"fairlead.dev/providers"
)

func init() {
	for _, name := range []string{scheme, schemeTLS} {
		providers.Register(providers.Scheme{
			Name:     name,
			Help:     "etcd 3.6: " + name + "://[user:password@]host:port[,host:port…]",
			Settings: settings(),
			Open:     open,
			Inspect:  inspect,
		})
	}
}

// usualProgress is how often a watcher asks for its progress.
const usualProgress = 5 * time.Second

// provider is an open provider. It lives until Close.
type provider struct {
	*providers.Live
	config config
	logger *slog.Logger

	client  *clientv3.Client
	kv      pb.KVClient
	lease   pb.LeaseClient
	watch   pb.WatchClient
	cluster pb.ClusterClient

	prober *prober
	unused chan unusedLease // leases to revoke

	progressEvery time.Duration // how often watchers ask for it

	senders       senders
	groups        groups
	subscriptions providers.Handles[*subscription]

	life  *providers.Lifetime
	calls providers.Calls
}

func open(ctx context.Context, s providers.Settings) (fairlead.Provider, error) {
	c, err := newConfig(s)
	if err != nil {
		return nil, err
	}
	p := newProvider(c, s.Logger)
	if err := p.start(ctx); err != nil {
		return nil, errors.Join(providers.AddEndpoint(err, p.endpoint()), p.disconnect())
	}
	p.life.Go(p.keepDescription)
	for range revokers {
		p.life.Go(p.revokeQueuedLeases)
	}
	return p, nil
}

func newProvider(c config, logger *slog.Logger) *provider {
	life := providers.NewLifetime("provider")
	return &provider{
		config: c, logger: logger, prober: newProber(c), unused: make(chan unusedLease, 1024), progressEvery: usualProgress, life: life,
		calls: providers.Calls{Life: life, Timeout: c.requestTimeout, Setting: "request-timeout", MapError: mapErr},
	}
}

func (p *provider) start(ctx context.Context) error {
	if err := p.connect(ctx); err != nil {
		return err
	}
	if err := fairlead.ContextError(ctx); err != nil {
		return err // it has ended the provider's life, too
	}
	d, err := p.probeDescription(ctx)
	p.Live = providers.NewLive(d)
	return err
}

func (p *provider) endpoint() string { return strings.Join(p.config.hosts, ",") }

// disconnect ends the provider's life and closes the client, which reports that
// its context has ended.
func (p *provider) disconnect() error {
	p.life.End()
	if p.client == nil {
		return nil
	}
	if err := p.client.Close(); err != nil && !errors.Is(err, context.Canceled) {
		return mapErr(err, false)
	}
	return nil
}

// Close implements [fairlead.Provider].
func (p *provider) Close(ctx context.Context) error {
	if !p.Shut() {
		return nil
	}
	_ = p.subscriptions.CloseAll(ctx) // messages that are not given back come again when their leases end
	err := p.disconnect()
	p.life.Drain()
	return err
}

// As implements the method that [fairlead.As] calls.
func (p *provider) As(target any) bool {
	t, ok := target.(**clientv3.Client)
	if ok {
		*t = p.client
	}
	return ok
}

// describe says what holds on a cluster in the state st.
func (p *provider) describe(st state) fairlead.Description {
	return fairlead.Description{
		Provider: "etcd",
		System:   "etcd",
		Version:  st.version,
		Endpoint: p.endpoint(),
		Notes:    st.notes(p.config),
		Facets:   []fairlead.FacetDescription{p.kvFacet(st), p.pubsubFacet(st), rpcFacet()},
	}
}
