package redis

import (
	"context"
	_ "embed"
	"sync/atomic"
	"time"

	"fairlead.dev"
	"fairlead.dev/internal/await"
	"fairlead.dev/rpc/driver"
)

//go:embed rpc_keep.lua
var rpcKeepSrc string

//go:embed rpc_endpoints.lua
var rpcEndpointsSrc string

var (
	rpcKeep      = newScript(rpcKeepSrc)
	rpcEndpoints = newScript(rpcEndpointsSrc)
)

// rpcFacet says what the rpc facet promises.
func rpcFacet() fairlead.FacetDescription {
	return fairlead.FacetDescription{
		Facet: fairlead.RPC,
		Claims: []fairlead.Claim{
			fairlead.Shared, driver.ClaimDirectory, driver.ClaimFullDuplex, driver.ClaimFlowControl,
			driver.ClaimFastNoResponder, driver.ClaimLoadBalance,
		},
	}
}

// places are the keys of a service: its leases, and the changes of them.
func (p *provider) places(service string) []string {
	base := p.prefix + ":rpc:{" + service + "}:"
	return []string{base + "leases", base + "changes"}
}

// registration is an endpoint under a lease: a member of a sorted set, whose
// score is when the lease ends by the clock of the server.
type registration struct {
	p      *provider
	keys   []string
	member string // a name of its own, a space, and the address
	life   context.Context
	end    context.CancelFunc
	left   atomic.Bool
}

// Register implements the rpc driver's Directory.
func (p *provider) Register(ctx context.Context, c driver.RegisterConfig) (driver.Registration, error) {
	r := &registration{p: p, keys: p.places(c.Service), member: randomName() + " " + c.Endpoint.Address}
	if err := r.renew(ctx, p.config.rpcLease); err != nil {
		return nil, err
	}
	r.life, r.end = context.WithCancel(p.life)
	return r, nil
}

// renew lets the lease end after a time, and at once for 0. It may be repeated
// without harm.
func (r *registration) renew(ctx context.Context, lease time.Duration) error {
	_, err := r.p.run(ctx, nil, rpcKeep, r.keys, r.member, milliseconds(lease))
	return err
}

// Keep implements the rpc driver's Registration.
func (r *registration) Keep(ctx context.Context) error {
	joined, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(r.life, cancel)()
	until := time.Now().Add(watchPatience)
	for {
		err := r.renew(joined, r.p.config.rpcLease)
		switch {
		case r.life.Err() != nil:
			return fairlead.Errorf(fairlead.Closed, "the registration is closed")
		case err == nil:
			until = time.Now().Add(r.p.config.rpcLease/3 + watchPatience)
			await.Pause(joined, r.p.config.rpcLease/3)
		case fairlead.CodeOf(err) != fairlead.Unavailable, time.Now().After(until):
			return err
		default:
			await.Pause(joined, watchRetry)
		}
	}
}

// Close implements the rpc driver's Registration.
func (r *registration) Close(ctx context.Context) error {
	r.end()
	if r.left.Swap(true) {
		return nil
	}
	return r.renew(ctx, 0)
}
