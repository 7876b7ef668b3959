package etcd

import (
	"context"
	"crypto/rand"
	"errors"
	"sync"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/client/v3/naming/endpoints"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"

	"fairlead.dev"
	"fairlead.dev/providers"
	"fairlead.dev/rpc/driver"
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

// target returns the prefix of the keys of a service's endpoints, without the final
// slash.
func (p *provider) target(service string) string { return p.config.prefix + "/rpc/" + service }

// registration is an endpoint under a lease, in the form that etcd's own
// client/v3/naming/endpoints gives it.
type registration struct {
	p       *provider
	manager endpoints.Manager
	key     string
	address string
	life    *providers.Lifetime

	mu    sync.Mutex // held while the lease is renewed or given up
	lease int64      // 0: none
}

// Register implements the rpc driver's Directory.
func (p *provider) Register(ctx context.Context, c driver.RegisterConfig) (driver.Registration, error) {
	if err := p.life.Err(); err != nil {
		return nil, err
	}
	target := p.target(c.Service)
	manager, err := endpoints.NewManager(p.client, target)
	if err != nil {
		return nil, mapErr(err, false)
	}
	r := &registration{p: p, manager: manager, key: target + "/" + rand.Text(), address: c.Endpoint.Address, life: p.life.Child("registration")}
	if err := r.addEndpoint(ctx); err != nil {
		r.life.End()
		return nil, err
	}
	return r, nil
}

// addEndpoint registers the endpoint under a new lease. The lock is held, or no
// other goroutine knows r.
func (r *registration) addEndpoint(ctx context.Context) error {
	granted, err := r.p.grant(ctx, &pb.LeaseGrantRequest{TTL: leaseSeconds(r.p.config.rpcLease)})
	if err != nil {
		return err
	}
	err = r.p.calls.Read(ctx, func(ctx context.Context) error {
		return r.manager.AddEndpoint(ctx, r.key, endpoints.Endpoint{Addr: r.address}, clientv3.WithLease(clientv3.LeaseID(granted.ID)))
	})
	if err != nil {
		r.p.revokeLater(granted.ID)
		return err
	}
	if r.lease != 0 {
		r.p.revokeLater(r.lease) // it lives, but the key was deleted
	}
	r.lease = granted.ID
	return nil
}

// Keep implements the rpc driver's Registration.
func (r *registration) Keep(ctx context.Context) error {
	return providers.KeepLease(ctx, r.life, r.p.config.rpcLease/3, r.renew)
}

// renew renews the lease, and replaces it if it or the key is lost.
func (r *registration) renew(ctx context.Context) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := r.life.Err(); err != nil {
		return err
	}
	alive, err := r.p.keepAlive(ctx, r.lease)
	if err != nil {
		return err
	}
	if !alive {
		r.lease = 0
		return r.addEndpoint(ctx)
	}
	found, err := r.p.readRange(ctx, &pb.RangeRequest{Key: []byte(r.key), CountOnly: true})
	if err == nil && found.Count == 0 {
		err = r.addEndpoint(ctx)
	}
	return err
}

// keepAlive renews a lease once, and reports whether the lease exists.
func (p *provider) keepAlive(ctx context.Context, id int64) (alive bool, err error) {
	err = p.calls.Read(ctx, func(ctx context.Context) error {
		ctx, cancel := context.WithCancel(clientv3.WithRequireLeader(ctx))
		defer cancel() // the stream
		stream, err := p.lease.LeaseKeepAlive(ctx)
		if err == nil {
			err = stream.Send(&pb.LeaseKeepAliveRequest{ID: id})
		}
		if err != nil {
			return err
		}
		resp, err := stream.Recv()
		alive = resp.GetTTL() > 0
		return err
	})
	return alive, err
}

// Close implements the rpc driver's Registration.
func (r *registration) Close(ctx context.Context) error {
	if !r.life.End() { // ends a renewal that is under way, too
		return nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.lease == 0 {
		return nil
	}
	err := r.p.revoke(ctx, r.lease)
	if errors.Is(err, rpctypes.ErrGRPCLeaseNotFound) {
		return nil // it has ended, and the key with it
	}
	if err != nil {
		r.p.revokeLater(r.lease)
	}
	return err
}
