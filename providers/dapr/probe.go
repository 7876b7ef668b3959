package dapr

import (
	"context"
	"fmt"

	runtimev1 "github.com/dapr/dapr/pkg/proto/runtime/v1"
	"google.golang.org/grpc"

	"fairlead.dev"

	"fairlead.dev/providers"
)

// prober remembers the result of checking the components, and the connection of
// the check: a new connection may lead to another sidecar.
type prober struct {
	connHandler
	checkedState stateCheck // used by the probe only, of which one runs at a time
}

// stateCheck is the result of checking a state component on scratch keys.
type stateCheck struct {
	connection int64
	component  component
	defect     string
}

// waitForSidecar waits for a sidecar that starts after its program.
func (p *provider) waitForSidecar(ctx context.Context) error {
	bounded, cancel := context.WithTimeout(ctx, p.config.startupTimeout)
	defer cancel()
	_, err := p.client.GetMetadata(bounded, &runtimev1.GetMetadataRequest{}, grpc.WaitForReady(true))
	switch end := fairlead.ContextError(ctx); {
	case err == nil:
		return nil
	case end != nil: // the text of err has the last error of the connection
		return fairlead.Errorf(fairlead.CodeOf(end), "no sidecar before the context ended: %w", err)
	case bounded.Err() != nil:
		return fairlead.Errorf(fairlead.Unavailable, "no sidecar within %v, the \"startup-timeout\": %w", p.config.startupTimeout, err)
	}
	return p.explainEnd(ctx, err)
}

// watchSidecar probes until the provider is closed.
func (p *provider) watchSidecar() {
	p.Keep(p.life.Context(), providers.Probing{
		Probe: p.probeAndDescribe, Every: p.config.probeInterval, Timeout: 2 * p.config.requestTimeout, Logger: p.logger,
	})
}

// probeAndDescribe probes the sidecar, uses the result from then on, and
// describes it.
func (p *provider) probeAndDescribe(ctx context.Context) (fairlead.Description, error) {
	st, err := p.probeSidecar(ctx)
	if err != nil {
		return fairlead.Description{}, err
	}
	p.current.Store(&st)
	return p.describe(st), nil
}

// probeSidecar reads the metadata of the sidecar and checks its components.
func (p *provider) probeSidecar(ctx context.Context) (sidecarState, error) {
	var m *runtimev1.GetMetadataResponse
	err := p.calls.Read(ctx, func(ctx context.Context) (err error) {
		m, err = p.client.GetMetadata(ctx, &runtimev1.GetMetadataRequest{})
		return err
	})
	if err != nil {
		return sidecarState{}, err
	}
	st, err := newSidecarState(m, p.config.components)
	if err != nil {
		return sidecarState{}, err
	}
	if err := p.checkStateComponent(ctx, &st); err != nil {
		return sidecarState{}, err
	}
	p.checkRPC(ctx, &st)
	return st, p.checkPubSubComponents(ctx, m, &st)
}

// checkStateComponent removes the state component from the state if it does not
// do what the provider relies on.
func (p *provider) checkStateComponent(ctx context.Context, st *sidecarState) error {
	c, ok := st.components[fairlead.KV]
	if !ok {
		return nil
	}
	connection := p.prober.connections.Load()
	if t := p.prober.checkedState; t.connection != connection || t.component != c {
		defect, err := p.findStateDefect(ctx, c.name)
		if err != nil {
			return err
		}
		p.prober.checkedState = stateCheck{connection, c, defect}
	}
	if defect := p.prober.checkedState.defect; defect != "" {
		delete(st.components, fairlead.KV)
		st.unsound[fairlead.KV] = fmt.Sprintf("component %s, %s: %s", c.name, c.kind, defect)
	}
	return nil
}
