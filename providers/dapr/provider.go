package dapr

import (
	"context"
	"errors"
	"log/slog"
	"sync/atomic"

	runtimev1 "github.com/dapr/dapr/pkg/proto/runtime/v1"
	"google.golang.org/grpc"

	"fairlead.dev"

	"fairlead.dev/providers"
)

func init() {
	for _, name := range []string{scheme, schemeTLS} {
		providers.Register(providers.Scheme{
			Name:     name,
			Help:     "Dapr 1.18: " + name + "://[:API-TOKEN@]host:port of the sidecar's gRPC port",
			Settings: settings(),
			Open:     open,
			Inspect:  inspect,
		})
	}
}

// provider is an open provider. It lives until Close.
type provider struct {
	*providers.Live
	config config
	logger *slog.Logger

	conn   *grpc.ClientConn
	client runtimev1.DaprClient

	prober  prober
	current atomic.Pointer[sidecarState] // the result of the last probe

	locks keyLocks

	consumers groupConsumers

	refused     missingAppCheck // used by the probe only
	independent bool            // the pubsub components were found to be independent; used by the probe only
	changes     *configChanges

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
		return nil, errors.Join(providers.AddEndpoint(err, c.host), p.disconnect())
	}
	p.life.Go(p.watchSidecar)
	p.life.Go(p.followChanges)
	return p, nil
}

func newProvider(c config, logger *slog.Logger) *provider {
	life := providers.NewLifetime("provider")
	return &provider{
		config: c, logger: logger, changes: newConfigChanges(), life: life,
		calls: providers.Calls{Life: life, Timeout: c.requestTimeout, Setting: "request-timeout", MapError: convertError},
	}
}

func (p *provider) start(ctx context.Context) error {
	if err := p.connect(); err != nil {
		return err
	}
	if err := p.waitForSidecar(ctx); err != nil {
		return err
	}
	d, err := p.probeAndDescribe(ctx)
	p.Live = providers.NewLive(d)
	return err
}

// disconnect ends everything that uses the connection, and closes it.
func (p *provider) disconnect() error {
	p.life.End()
	p.consumers.closeAll()
	p.releaseAppServers()
	if p.conn == nil {
		return nil
	}
	return convertError(p.conn.Close(), false)
}

// Close implements [fairlead.Provider].
func (p *provider) Close(context.Context) error {
	if !p.Shut() {
		return nil
	}
	err := p.disconnect()
	p.life.Drain()
	return err
}

// As implements the method that [fairlead.As] calls.
func (p *provider) As(target any) bool {
	switch t := target.(type) {
	case **grpc.ClientConn:
		*t = p.conn
	case *runtimev1.DaprClient:
		*t = p.client
	default:
		return false
	}
	return true
}

// describe returns what the provider guarantees on a sidecar in a state.
func (p *provider) describe(st sidecarState) fairlead.Description {
	return fairlead.Description{
		Provider: "dapr",
		System:   "dapr",
		Version:  st.version,
		Endpoint: p.config.host,
		Notes:    st.notes(p.config),
		Facets:   p.facets(st),
	}
}

// facets describes the facets that the sidecar has a component for.
func (p *provider) facets(st sidecarState) (facets []fairlead.FacetDescription) {
	describers := []struct {
		facet    fairlead.Facet
		describe func(sidecarState) fairlead.FacetDescription
	}{
		{fairlead.KV, p.kvFacet},
		{fairlead.PubSub, p.pubsubFacet},
		{fairlead.Config, p.configFacet},
	}
	for _, d := range describers {
		if _, ok := st.components[d.facet]; ok {
			facets = append(facets, d.describe(st))
		}
	}
	if p.offersRPC(st) {
		facets = append(facets, p.rpcFacet(st))
	}
	return facets
}
