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

// serviceKeys are the keys of a service: its leases, and the stream that wakes
// watchers when they change.
type serviceKeys struct{ leases, changes string }

func (p *provider) serviceKeys(service string) serviceKeys {
	base := p.prefix + ":rpc:{" + service + "}:"
	return serviceKeys{leases: base + "leases", changes: base + "changes"}
}

func (k serviceKeys) all() []string { return []string{k.leases, k.changes} }

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
		return nil, err
	}
	r.life = p.life.Child("registration")
	return r, nil
}

// setLease has the lease end after a duration, or at once for 0. It may be
// repeated without harm.
func (r *registration) setLease(ctx context.Context, lease time.Duration) error {
	_, err := r.p.query(ctx, r.keys.leases, rpcKeep.command(ctx, r.keys.all(), r.member, milliseconds(lease)))
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
	return r.setLease(ctx, 0)
}
