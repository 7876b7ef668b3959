package redis

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"log/slog"
	"os"
	"strconv"
	"strings"
	"sync/atomic"

	goredis "github.com/redis/go-redis/v9"

	"fairlead.dev"

	"fairlead.dev/providers"
)

func init() {
	for _, name := range []string{"redis", "rediss"} {
		providers.Register(providers.Scheme{
			Name:     name,
			Help:     "Redis 7: " + name + "://[user:password@]host:port[,host:port…][/db]",
			Settings: settings(),
			Open:     open,
			Inspect:  inspect,
		})
	}
}

// provider is an open provider. It lives until Close.
type provider struct {
	*providers.Live
	config  config
	logger  *slog.Logger
	client  goredis.UniversalClient // for commands that the server answers at once
	waiters goredis.UniversalClient // for commands that block on the server
	prefix  string

	markPrefix string // of the marks of this provider's writes
	marks      atomic.Uint64

	prober      *prober
	permissions permissions

	life          *providers.Lifetime
	stores        providers.Handles[*store]
	subscriptions providers.Handles[*groupSubscription] // the subscriptions that may hold messages
}

func open(ctx context.Context, s providers.Settings) (fairlead.Provider, error) {
	redirectVendorLog()
	c, err := newConfig(s)
	if err != nil {
		return nil, err
	}
	p := newProvider(c, s.Logger)
	if err := p.connect(ctx); err != nil {
		return nil, errors.Join(err, p.closeClients())
	}
	p.life.Go(p.keepProbing)
	return p, nil
}

func newProvider(c config, logger *slog.Logger) *provider {
	return &provider{
		config: c, logger: logger, prefix: c.prefix, markPrefix: randomName(),
		prober: newProber(), life: providers.NewLifetime("provider"),
		permissions: permissions{checked: map[fairlead.Facet]bool{}},
	}
}

// randomName returns 16 random characters, which are unique.
func randomName() string {
	var b [8]byte
	_, _ = rand.Read(b[:]) // never fails
	return hex.EncodeToString(b[:])
}

// appendName appends prefix, a hyphen and n in base 36.
func appendName(b []byte, prefix string, n uint64) []byte {
	b = append(append(b, prefix...), '-')
	return strconv.AppendUint(b, n, 36)
}

// connect finds the servers and probes them. If a single host turns out to be a
// node of a cluster, the provider uses the cluster, unless the URL says
// otherwise.
func (p *provider) connect(ctx context.Context) error {
	p.makeClients()
	st, err := p.probeServers(ctx)
	if err == nil && p.config.mode == "" && st.nodes[0].mode == cluster {
		st, err = p.switchToCluster(ctx)
	}
	if err != nil {
		return providers.AddEndpoint(p.explainOpen(ctx, err), p.endpoint())
	}
	if p.config.mode == "" {
		p.config.mode = standalone
	}
	if err := st.unsuitableError(p.config.mode); err != nil {
		return err
	}
	p.Live = providers.NewLive(p.describe(st))
	return nil
}

// explainOpen names the cause of a failure to open that the client does not name.
func (p *provider) explainOpen(ctx context.Context, err error) error {
	c := p.config
	switch {
	case c.mode == sentinel && errors.Is(err, goredis.Nil):
		return invalidf("the Sentinels monitor no primary of the name %q; redis-cli SENTINEL MASTERS lists the names; set \"master-name\"", c.masterName)
	case c.mode == sentinel && strings.Contains(err.Error(), "unknown command 'sentinel'"):
		return invalidf("the host is not a Sentinel; with \"master-name\", the hosts of the URL are Sentinels: name them, or remove \"master-name\"")
	case isErrorReply(err), isDialError(err), errors.Is(err, os.ErrDeadlineExceeded), fairlead.ContextError(ctx) != nil:
		return err
	case c.tls == nil && speaksTLS(ctx, c.hosts[0], c.dialTimeout):
		return fairlead.Errorf(fairlead.Unavailable, "the server speaks TLS on this port; use rediss:// instead of redis://: %w", err)
	case c.tls != nil:
		return c.explainTLS(ctx, err)
	}
	return err
}

func (p *provider) switchToCluster(ctx context.Context) (state, error) {
	if err := p.closeClients(); err != nil {
		return state{}, err
	}
	p.config.mode = cluster
	p.makeClients()
	return p.probeServers(ctx)
}

func (p *provider) makeClients() {
	timeout := p.config.readTimeout
	p.client = p.config.newClient(p.config.poolSize, timeout, p.prober.newConnection.Fire)
	p.waiters = p.config.newClient(waitersPoolSize, timeout+blockingExtraTime, p.prober.newConnection.Fire)
}

func (p *provider) endpoint() string {
	hosts := strings.Join(p.config.hosts, ",")
	if p.config.mode == sentinel {
		return "sentinel " + hosts + " master " + p.config.masterName
	}
	return hosts
}

func (p *provider) closeClients() error {
	return errors.Join(p.client.Close(), p.waiters.Close())
}

// Close implements [fairlead.Provider].
func (p *provider) Close(ctx context.Context) error {
	if !p.Shut() {
		return nil
	}
	p.closeSubscriptions(ctx)
	p.life.End()
	err := p.closeClients()
	p.life.Drain()
	return mapErr(err, false)
}

// As implements the method that [fairlead.As] calls.
func (p *provider) As(target any) bool {
	switch t := target.(type) {
	case *goredis.UniversalClient:
		*t = p.client
		return true
	case **goredis.Client:
		c, ok := p.client.(*goredis.Client)
		*t = c
		return ok
	case **goredis.ClusterClient:
		c, ok := p.client.(*goredis.ClusterClient)
		*t = c
		return ok
	}
	return false
}

// describe returns the description of servers in the state st.
func (p *provider) describe(st state) fairlead.Description {
	return fairlead.Description{
		Provider: "redis",
		System:   "redis",
		Version:  st.version(),
		Endpoint: p.endpoint(),
		Notes:    st.notes(p.config),
		Facets:   []fairlead.FacetDescription{p.kvFacet(st), p.pubsubFacet(st), rpcFacet()},
	}
}
