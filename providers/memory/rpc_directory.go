package memory

import (
	"cmp"
	"context"
	"slices"
	"sync"
	"time"

	"fairlead.dev/internal/await"
	rpcdriver "fairlead.dev/rpc/driver"
)

// places are the endpoints of one backend.
type places struct {
	mu      sync.Mutex
	entries map[string][]*registration // by service
	changed await.Signal
}

func newPlaces() *places { return &places{entries: map[string][]*registration{}} }

// directory is the rpc facet of one provider that keeps addresses.
type directory struct {
	life   lifetime
	places *places
}

// lease is how long an endpoint is shown that nobody keeps.
const lease = 2 * time.Second

// registration is an endpoint until its life or its lease ends.
type registration struct {
	life     lifetime
	places   *places
	service  string
	endpoint rpcdriver.Endpoint

	// Guarded by places.mu.
	keepers int
	until   time.Time // the end of the lease while there are no keepers
}

// shown reports whether the endpoint is to be shown, and until when if there
// is an end to it. It is called with the lock held.
func (r *registration) shown(now time.Time) (bool, time.Time) {
	switch {
	case r.life.ctx.Err() != nil:
		return false, time.Time{}
	case r.keepers > 0:
		return true, time.Time{}
	}
	return now.Before(r.until), r.until
}

// Register implements [rpcdriver.Directory].
func (d *directory) Register(ctx context.Context, c rpcdriver.RegisterConfig) (rpcdriver.Registration, error) {
	if err := d.life.ready(ctx); err != nil {
		return nil, err
	}
	r := &registration{life: newLifetime(d.life.ctx), places: d.places, service: c.Service, endpoint: c.Endpoint, until: time.Now().Add(lease)}
	d.places.mu.Lock()
	defer d.places.mu.Unlock()
	d.places.entries[c.Service] = append(d.places.entries[c.Service], r)
	d.places.changed.Fire()
	context.AfterFunc(r.life.ctx, r.remove)
	return r, nil
}

func (r *registration) remove() {
	r.places.mu.Lock()
	defer r.places.mu.Unlock()
	left := slices.DeleteFunc(r.places.entries[r.service], func(o *registration) bool { return o == r })
	r.places.entries[r.service] = left
	if len(left) == 0 {
		delete(r.places.entries, r.service)
	}
	r.places.changed.Fire()
}

// Keep implements [rpcdriver.Registration].
func (r *registration) Keep(ctx context.Context) error {
	r.kept(1)
	defer r.kept(-1)
	return r.life.wait(ctx, nil, time.Time{})
}

func (r *registration) kept(by int) {
	r.places.mu.Lock()
	defer r.places.mu.Unlock()
	r.keepers += by
	r.until = time.Now().Add(lease)
	r.places.changed.Fire()
}

// Close implements [rpcdriver.Registration].
func (r *registration) Close(context.Context) error {
	r.life.end()
	r.remove() // not only soon
	return nil
}

// WatchEndpoints implements [rpcdriver.Directory].
func (d *directory) WatchEndpoints(ctx context.Context, c rpcdriver.WatchConfig) (rpcdriver.EndpointWatcher, error) {
	if err := d.life.ready(ctx); err != nil {
		return nil, err
	}
	return &endpointWatcher{life: newLifetime(d.life.ctx), places: d.places, service: c.Service}, nil
}

// endpointWatcher shows the endpoints of one service.
type endpointWatcher struct {
	life    lifetime
	places  *places
	service string
	told    bool
	last    []rpcdriver.Endpoint
}

// Next implements [rpcdriver.EndpointWatcher].
func (w *endpointWatcher) Next(ctx context.Context) ([]rpcdriver.Endpoint, error) {
	for {
		if err := w.life.ready(ctx); err != nil {
			return nil, err
		}
		now, until, changed := w.places.now(w.service)
		if !w.told || !slices.Equal(now, w.last) {
			w.told, w.last = true, now
			return slices.Clone(now), nil
		}
		if err := w.life.wait(ctx, changed, until); err != nil {
			return nil, err
		}
	}
}

// now returns the endpoints of a service, the time at which the next one may
// end by itself, and a channel to wait on for a change.
func (p *places) now(service string) (now []rpcdriver.Endpoint, next time.Time, changed <-chan struct{}) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, r := range p.entries[service] {
		shown, until := r.shown(time.Now())
		if !shown {
			continue
		}
		now = append(now, r.endpoint)
		if next.IsZero() || !until.IsZero() && until.Before(next) {
			next = until
		}
	}
	slices.SortFunc(now, func(a, b rpcdriver.Endpoint) int { return cmp.Compare(a.Address, b.Address) })
	return slices.Compact(now), next, p.changed.Next()
}

// Close implements [rpcdriver.EndpointWatcher].
func (w *endpointWatcher) Close(context.Context) error {
	w.life.end()
	return nil
}
