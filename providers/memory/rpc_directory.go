package memory

import (
	"context"
	"slices"
	"sync"
	"time"

	"fairlead.dev/providers"
	rpcdriver "fairlead.dev/rpc/driver"
)

// endpointRegistry holds the registrations of one backend.
type endpointRegistry struct {
	mu        sync.Mutex
	byService map[string][]*registration
	changed   providers.Signal
}

func newEndpointRegistry() *endpointRegistry {
	return &endpointRegistry{byService: map[string][]*registration{}}
}

// directory is the rpc facet of one provider that keeps addresses.
type directory struct {
	life      *providers.Lifetime
	endpoints *endpointRegistry
}

// registrationLease is how long an endpoint is listed after its last Keep ended.
const registrationLease = 2 * time.Second

// registration is an endpoint until its life or its lease ends.
type registration struct {
	life     *providers.Lifetime
	registry *endpointRegistry
	service  string
	endpoint rpcdriver.Endpoint

	// Guarded by registry.mu.
	keepers int       // calls of Keep that are under way
	expires time.Time // the end of the lease while there are no keepers
}

// Register implements [rpcdriver.Directory].
func (d *directory) Register(ctx context.Context, c rpcdriver.RegisterConfig) (rpcdriver.Registration, error) {
	if err := d.life.Check(ctx); err != nil {
		return nil, err
	}
	r := &registration{
		life: d.life.Child("registration"), registry: d.endpoints, service: c.Service,
		endpoint: c.Endpoint, expires: time.Now().Add(registrationLease),
	}
	d.endpoints.add(r)
	context.AfterFunc(r.life.Context(), func() { d.endpoints.remove(r) })
	return r, nil
}

func (e *endpointRegistry) add(r *registration) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.byService[r.service] = append(e.byService[r.service], r)
	e.changed.Fire()
}

func (e *endpointRegistry) remove(r *registration) {
	e.mu.Lock()
	defer e.mu.Unlock()
	remaining := slices.DeleteFunc(e.byService[r.service], func(other *registration) bool { return other == r })
	if e.byService[r.service] = remaining; len(remaining) == 0 {
		delete(e.byService, r.service)
	}
	e.changed.Fire()
}

// Keep implements [rpcdriver.Registration].
func (r *registration) Keep(ctx context.Context) error {
	r.addKeepers(1)
	defer r.addKeepers(-1)
	return r.life.Wait(ctx, nil, time.Time{})
}

func (r *registration) addKeepers(n int) {
	r.registry.mu.Lock()
	defer r.registry.mu.Unlock()
	r.keepers += n
	r.expires = time.Now().Add(registrationLease)
	r.registry.changed.Fire()
}

// Close implements [rpcdriver.Registration].
func (r *registration) Close(context.Context) error {
	r.life.End()
	r.registry.remove(r) // before Close returns: the end of life removes it later
	return nil
}

// isListed reports whether clients see the endpoint. If a lease limits that, it
// returns the end of the lease. The registry is locked.
func (r *registration) isListed(now time.Time) (listed bool, expires time.Time) {
	switch {
	case r.life.Err() != nil:
		return false, time.Time{}
	case r.keepers > 0:
		return true, time.Time{}
	}
	return now.Before(r.expires), r.expires
}

// list returns the endpoints of a service, ordered by address, the time at which
// the next lease ends (or the zero time), and a channel that is closed at the
// next change.
func (e *endpointRegistry) list(service string) (endpoints []rpcdriver.Endpoint, expiry time.Time, changed <-chan struct{}) {
	e.mu.Lock()
	defer e.mu.Unlock()
	now := time.Now()
	for _, r := range e.byService[service] {
		listed, expires := r.isListed(now)
		if !listed {
			continue
		}
		endpoints = append(endpoints, r.endpoint)
		if expiry.IsZero() || !expires.IsZero() && expires.Before(expiry) {
			expiry = expires
		}
	}
	slices.SortFunc(endpoints, compareAddresses)
	return slices.Compact(endpoints), expiry, e.changed.Next()
}
