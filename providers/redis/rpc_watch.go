package redis

import (
	"context"
	"slices"
	"strings"
	"time"

	"fairlead.dev/providers"
	"fairlead.dev/rpc/driver"
)

// endpointWatcher returns the endpoints of a service. It waits on the stream of
// changes, and reads the leases whenever it wakes.
type endpointWatcher struct {
	p        *provider
	life     *providers.Lifetime
	keys     serviceKeys
	leases   leaseSnapshot // as last read
	returned []driver.Endpoint
	started  bool // Next has returned once
}

// leaseSnapshot is what a service's leases were when they were read.
type leaseSnapshot struct {
	change    string        // the ID of the last change
	untilEnd  time.Duration // until the next lease ends; negative if there is none
	endpoints []driver.Endpoint
}

// WatchEndpoints implements the rpc driver's Directory.
func (p *provider) WatchEndpoints(_ context.Context, c driver.WatchConfig) (driver.EndpointWatcher, error) {
	return &endpointWatcher{p: p, life: p.life.Child("watcher"), keys: p.serviceKeys(c.Service)}, nil
}

// Close implements the rpc driver's EndpointWatcher.
func (w *endpointWatcher) Close(context.Context) error {
	w.life.End()
	return nil
}

// Next implements the rpc driver's EndpointWatcher.
func (w *endpointWatcher) Next(ctx context.Context) ([]driver.Endpoint, error) {
	endpoints, err := providers.Retry(ctx, w.life, providers.Patience{}, w.readOrWait)
	return endpoints, w.life.WaitError(ctx, err)
}

// readOrWait returns the endpoints if they have changed. If not, it waits until
// they may have, and is not done.
func (w *endpointWatcher) readOrWait(ctx context.Context) (endpoints []driver.Endpoint, done bool, err error) {
	if w.leases, err = w.readLeases(ctx); err != nil {
		return nil, false, err
	}
	if w.started && slices.Equal(w.leases.endpoints, w.returned) {
		return nil, false, w.awaitChange(ctx)
	}
	w.started, w.returned = true, w.leases.endpoints
	return slices.Clone(w.returned), true, nil
}

func (w *endpointWatcher) readLeases(ctx context.Context) (leaseSnapshot, error) {
	reply, err := w.p.query(ctx, w.keys.leases, rpcEndpoints.command(ctx, w.keys.all()))
	if err != nil {
		return leaseSnapshot{}, err
	}
	return parseLeases(asList(reply))
}

func parseLeases(reply []any) (leaseSnapshot, error) {
	if len(reply) != 3 {
		return leaseSnapshot{}, unexpectedReply(reply)
	}
	l := leaseSnapshot{change: asText(reply[0]), untilEnd: time.Duration(asNumber(reply[1])) * time.Millisecond}
	for _, member := range asList(reply[2]) {
		if _, address, ok := strings.Cut(asText(member), " "); ok { // else another program has added it
			l.endpoints = append(l.endpoints, driver.Endpoint{Address: address})
		}
	}
	slices.SortFunc(l.endpoints, func(a, b driver.Endpoint) int { return strings.Compare(a.Address, b.Address) })
	l.endpoints = slices.Compact(l.endpoints)
	return l, nil
}

// awaitChange waits until a lease changes or ends. It does not wait for long:
// leases that were lost with the server's data wake no one.
func (w *endpointWatcher) awaitChange(ctx context.Context) error {
	d := min(maxWatchBlock, w.p.config.readTimeout/2)
	if w.leases.untilEnd >= 0 {
		d = min(d, w.leases.untilEnd)
	}
	return w.p.block(ctx, d, w.keys.changes, w.leases.change)
}
