package etcd

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"

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
		})
	}
}

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
	unused chan int64 // leases that no key has

	senders senders
	subs    subscriptions

	life  context.Context // ends with Close
	end   context.CancelFunc
	tasks sync.WaitGroup
}

func open(ctx context.Context, s providers.Settings) (fairlead.Provider, error) {
	c, err := newConfig(s)
	if err != nil {
		return nil, err
	}
	p := &provider{config: c, logger: s.Logger, prober: newProber(c), unused: make(chan int64, 1024)}
	p.life, p.end = context.WithCancel(context.Background())
	if err := p.start(ctx); err != nil {
		return nil, errors.Join(p.explain(err), p.disconnect())
	}
	p.tasks.Go(p.watchCluster)
	p.tasks.Go(p.revokeLeases)
	return p, nil
}

func (p *provider) start(ctx context.Context) error {
	if err := p.connect(ctx); err != nil {
		return err
	}
	d, err := p.look(ctx)
	p.Live = providers.NewLive(d)
	return err
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

// disconnect ends the client's life; that it was ended is no news.
func (p *provider) disconnect() error {
	p.end()
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
	p.subs.closeAll(ctx)
	err := p.disconnect()
	p.tasks.Wait()
	return err
}

// As implements what [fairlead.As] asks for.
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
