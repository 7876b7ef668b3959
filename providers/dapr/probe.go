package dapr

import (
	"context"
	"fmt"

	runtimev1 "github.com/dapr/dapr/pkg/proto/runtime/v1"
	"google.golang.org/grpc"

	"fairlead.dev"

	"fairlead.dev/providers"
)

// prober remembers what was tried on the components, and on which connection: the
// sidecar behind a new one may be another one.
type prober struct {
	connHandler
	tried trial // belongs to the probe, of which one runs at a time
}

// trial is the outcome of trying a component on scratch keys.
type trial struct {
	connection int64
	component  component
	defect     string
}

// awaitSidecar waits for a sidecar that may come up after its program.
func (p *provider) awaitSidecar(ctx context.Context) error {
	bounded, cancel := context.WithTimeout(ctx, p.config.startupTimeout)
	defer cancel()
	_, err := p.client.GetMetadata(bounded, &runtimev1.GetMetadataRequest{}, grpc.WaitForReady(true))
	if err != nil && bounded.Err() != nil && ctx.Err() == nil {
		return fairlead.Errorf(fairlead.Unavailable, "no sidecar within %v, the \"startup-timeout\": %w", p.config.startupTimeout, err)
	}
	return p.ended(ctx, bounded, mapErr(err, false))
}

// watchSidecar probes until the provider is closed.
func (p *provider) watchSidecar() {
	p.Keep(p.life, providers.Probing{
		Probe: p.look, Every: p.config.probeInterval, Timeout: 2 * p.config.requestTimeout, Logger: p.logger,
	})
}

// look is the description of what a probe finds, which holds from then on.
func (p *provider) look(ctx context.Context) (fairlead.Description, error) {
	st, err := p.probe(ctx)
	if err != nil {
		return fairlead.Description{}, err
	}
	p.current.Store(&st)
	return p.describe(st), nil
}

// probe asks the sidecar about its state, and tries what it has.
func (p *provider) probe(ctx context.Context) (state, error) {
	var m *runtimev1.GetMetadataResponse
	err := p.do(ctx, func(ctx context.Context) (err error) {
		m, err = p.client.GetMetadata(ctx, &runtimev1.GetMetadataRequest{})
		return err
	})
	if err != nil {
		return state{}, err
	}
	st, err := newState(m, p.config.components)
	if err != nil {
		return state{}, err
	}
	if err := p.tryState(ctx, &st); err != nil {
		return state{}, err
	}
	p.tryRPC(ctx, &st)
	return st, p.tryPubSub(ctx, m, &st)
}

// tryState takes the state component out of use if it does not do what the
// provider builds on.
func (p *provider) tryState(ctx context.Context, st *state) error {
	c, ok := st.components[fairlead.KV]
	if !ok {
		return nil
	}
	connection := p.prober.connections.Load()
	if t := p.prober.tried; t.connection != connection || t.component != c {
		defect, err := p.stateDefect(ctx, c.name)
		if err != nil {
			return err
		}
		p.prober.tried = trial{connection, c, defect}
	}
	if defect := p.prober.tried.defect; defect != "" {
		delete(st.components, fairlead.KV)
		st.unsound[fairlead.KV] = fmt.Sprintf("component %s, %s: %s", c.name, c.kind, defect)
	}
	return nil
}
