package redis

import (
	"context"
	"slices"
	"strings"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"fairlead.dev"
	"fairlead.dev/internal/await"
	"fairlead.dev/rpc/driver"
)

// endpointWatcher shows the endpoints of a service. It waits for the stream of
// changes, and looks at the leases whatever wakes it.
type endpointWatcher struct {
	p    *provider
	keys []string
	last []driver.Endpoint
	told bool
	seen view
	life context.Context
	end  context.CancelFunc
}

// view is what a look at the leases tells.
type view struct {
	change    string        // the id of the last change
	ends      time.Duration // until the next lease ends; negative if there is none
	endpoints []driver.Endpoint
}

// WatchEndpoints implements the rpc driver's Directory.
func (p *provider) WatchEndpoints(_ context.Context, c driver.WatchConfig) (driver.EndpointWatcher, error) {
	w := &endpointWatcher{p: p, keys: p.places(c.Service)}
	w.life, w.end = context.WithCancel(p.life)
	return w, nil
}

// Close implements the rpc driver's EndpointWatcher.
func (w *endpointWatcher) Close(context.Context) error {
	w.end()
	return nil
}

// Next implements the rpc driver's EndpointWatcher.
func (w *endpointWatcher) Next(ctx context.Context) ([]driver.Endpoint, error) {
	joined, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(w.life, cancel)()
	until := time.Now().Add(watchPatience)
	for {
		changed, err := w.step(joined)
		switch {
		case w.life.Err() != nil:
			return nil, fairlead.Errorf(fairlead.Closed, "the watcher is closed")
		case changed:
			return slices.Clone(w.last), nil
		case err == nil:
			until = time.Now().Add(watchPatience)
		case fairlead.CodeOf(err) != fairlead.Unavailable, time.Now().After(until):
			return nil, err
		default:
			await.Pause(joined, watchRetry)
		}
	}
}

// step looks, and if nothing has changed waits until something may have.
func (w *endpointWatcher) step(ctx context.Context) (changed bool, err error) {
	if w.seen, err = w.look(ctx); err != nil {
		return false, err
	}
	if w.told && slices.Equal(w.seen.endpoints, w.last) {
		return false, w.block(ctx)
	}
	w.told, w.last = true, w.seen.endpoints
	return true, nil
}

func (w *endpointWatcher) look(ctx context.Context) (view, error) {
	cmd := rpcEndpoints.call(ctx, w.keys)
	if err := w.p.read(ctx, w.keys[0], cmd); err != nil {
		return view{}, err
	}
	return parseView(list(cmd.Val()))
}

func parseView(reply []any) (view, error) {
	if len(reply) != 3 {
		return view{}, unexpectedReply(reply)
	}
	v := view{change: text(reply[0]), ends: time.Duration(number(reply[1])) * time.Millisecond}
	for _, m := range list(reply[2]) {
		_, address, ok := strings.Cut(text(m), " ")
		if !ok {
			return view{}, unexpectedReply(reply)
		}
		v.endpoints = append(v.endpoints, driver.Endpoint{Address: address})
	}
	slices.SortFunc(v.endpoints, func(a, b driver.Endpoint) int { return strings.Compare(a.Address, b.Address) })
	v.endpoints = slices.Compact(v.endpoints)
	return v, nil
}

// block waits for a change or the end of a lease, but not for long: leases that
// were lost with the server's data wake nobody.
func (w *endpointWatcher) block(ctx context.Context) error {
	d := min(watchBlock, w.p.config.readTimeout/2)
	if w.seen.ends >= 0 {
		d = min(d, w.seen.ends)
	}
	changes := w.keys[1]
	cmd := goredis.NewCmd(ctx, "xread", "block", max(1, d.Milliseconds()), "count", 1, "streams", changes, w.seen.change)
	if err := w.p.wait(ctx, changes, cmd); err != nil {
		return err
	}
	if err := cmd.Err(); err != goredis.Nil {
		return mapCallErr(ctx, err, false)
	}
	return nil
}
