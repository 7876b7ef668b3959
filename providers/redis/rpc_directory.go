package redis

import (
	"context"
	_ "embed"
	"time"

	"fairlead.dev"
	"fairlead.dev/providers"
	"fairlead.dev/rpc/driver"
)

//go:embed rpc_keep.lua
var rpcKeepLua string

//go:embed rpc_endpoints.lua
var rpcEndpointsLua string

var (
	rpcKeep      = newScript(rpcKeepLua)
	rpcEndpoints = newScript(rpcEndpointsLua)
)

// rpcFacet describes what the rpc facet guarantees.
func rpcFacet() fairlead.FacetDescription {
	return fairlead.FacetDescription{
		Facet: fairlead.RPC,
		Claims: []fairlead.Claim{
			fairlead.Shared, driver.ClaimDirectory, driver.ClaimFullDuplex, driver.ClaimFlowControl,
			driver.ClaimFastNoResponder, driver.ClaimLoadBalance,
		},
	}
}

// serviceKeys are the keys of a service: its leases, the stream that wakes watchers
// when they change, and the members whose leases were ended a moment ago.
type serviceKeys struct{ leases, changes, ended string }

func (p *provider) serviceKeys(service string) serviceKeys {
	base := p.prefix + ":rpc:{" + service + "}:"
	return serviceKeys{leases: base + "leases", changes: base + "changes", ended: base + "ended"}
}

func (k serviceKeys) all() []string { return []string{k.leases, k.changes, k.ended} }

// registration is an endpoint with a lease: a member of a sorted set. The
// member's score is the end of the lease by the server's clock.
type registration struct {
	p      *provider
	life   *providers.Lifetime
	keys   serviceKeys
	member string // a random name, a space, and the address
}

// Register implements the rpc driver's Directory.
func (p *provider) Register(ctx context.Context, c driver.RegisterConfig) (driver.Registration, error) {
	r := &registration{p: p, keys: p.serviceKeys(c.Service), member: randomName() + " " + c.Endpoint.Address}
	if err := p.checkPermissions(ctx, fairlead.RPC, r.keys.leases); err != nil {
		return nil, err
	}
	if err := r.setLease(ctx, p.config.rpcLease); err != nil {
		r.endLater() // the server may carry it out all the same
		return nil, err
	}
	r.life = p.life.Child("registration")
	return r, nil
}

// endedFor is how long the server ignores a renewal that was overtaken by the end of
// the lease: longer than one can be on its way.
const endedFor = time.Minute

// setLease has the lease end after a duration, or at once for 0. It may be
// repeated without harm.
func (r *registration) setLease(ctx context.Context, lease time.Duration) error {
	_, err := r.p.query(ctx, r.keys.leases, rpcKeep.command(ctx, r.keys.all(), r.member, milliseconds(lease), milliseconds(endedFor)))
	return err
}

// Keep implements the rpc driver's Registration.
func (r *registration) Keep(ctx context.Context) error {
	_, err := providers.Retry(ctx, r.life, providers.Patience{}, func(ctx context.Context) (_ struct{}, done bool, err error) {
		if err = r.setLease(ctx, r.p.config.rpcLease); err == nil {
			providers.Pause(ctx, r.p.config.rpcLease/3)
		}
		return struct{}{}, false, err
	})
	return err
}

// Close implements the rpc driver's Registration.
func (r *registration) Close(ctx context.Context) error {
	if !r.life.End() {
		return nil
	}
	err := r.setLease(ctx, 0)
	if err != nil {
		r.endLater()
	}
	return err
}

// endLater ends the lease in the background, for as long as the lease could last.
func (r *registration) endLater() {
	r.p.life.Go(func() {
		patience := providers.Patience{Limit: r.p.config.rpcLease}
		_, _ = providers.Retry(r.p.life.Context(), r.p.life, patience, func(ctx context.Context) (_ struct{}, done bool, err error) {
			return struct{}{}, true, r.setLease(ctx, 0)
		})
	})
}
