package mutants

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"fairlead.dev"
	"fairlead.dev/conformance"
	"fairlead.dev/rpc"
	rpcdriver "fairlead.dev/rpc/driver"
)

// listed is a changed memory provider that keeps addresses; a nil hook changes
// nothing.
type listed struct {
	whole
	url       string // of the memory provider; empty: a private one
	directory rpcdriver.Directory
	register  func(rpcdriver.RegisterConfig) rpcdriver.RegisterConfig
	entry     func(rpcdriver.Registration) rpcdriver.Registration
	watch     func(rpcdriver.EndpointWatcher) rpcdriver.EndpointWatcher
}

// listedBy opens memory providers with hooks.
func listedBy(hooks listed) conformance.Opener {
	return func(ctx context.Context) (fairlead.Provider, error) {
		p, err := fairlead.Open(ctx, cmp.Or(hooks.url, "mem://?rpc=directory"))
		if err != nil {
			return nil, err
		}
		own := hooks
		own.whole, own.directory = p.(whole), p.(rpcdriver.Directory)
		return &own, nil
	}
}

func (p *listed) Register(ctx context.Context, c rpcdriver.RegisterConfig) (rpcdriver.Registration, error) {
	if p.register != nil {
		c = p.register(c)
	}
	r, err := p.directory.Register(ctx, c)
	if err == nil && p.entry != nil {
		r = p.entry(r)
	}
	return r, err
}

func (p *listed) WatchEndpoints(ctx context.Context, c rpcdriver.WatchConfig) (rpcdriver.EndpointWatcher, error) {
	w, err := p.directory.WatchEndpoints(ctx, c)
	if err == nil && p.watch != nil {
		w = p.watch(w)
	}
	return w, err
}

// rpcDirectoryMutants store addresses wrongly.
var rpcDirectoryMutants = []Mutant{
	{
		Name: "rpc-directory-not-there", Breaks: "what is registered is not where the server is", CaughtBy: cases("rpc/directory-plain"),
		Open: listedBy(listed{register: func(c rpcdriver.RegisterConfig) rpcdriver.RegisterConfig {
			c.Endpoint.Address = "127.0.0.1:1"
			return c
		}}),
	},
	{
		Name: "rpc-directory-cut", Breaks: "addresses end at the first space", CaughtBy: cases("rpc/directory-watch"),
		Open: listedBy(listed{register: func(c rpcdriver.RegisterConfig) rpcdriver.RegisterConfig {
			c.Endpoint.Address, _, _ = strings.Cut(c.Endpoint.Address, " ")
			return c
		}}),
	},
	{
		Name: "rpc-directory-unsorted", Breaks: "endpoints come in any order", CaughtBy: cases("rpc/directory-watch"),
		Open: listedBy(listed{watch: func(w rpcdriver.EndpointWatcher) rpcdriver.EndpointWatcher { return backwards{w} }}),
	},
	{
		Name: "rpc-directory-stays", Breaks: "endpoints that are removed stay while the provider is open", CaughtBy: cases("rpc/directory-watch"),
		Open: listedBy(listed{entry: func(r rpcdriver.Registration) rpcdriver.Registration { return stays{r} }}),
	},
	{
		Name: "rpc-directory-turns", Breaks: "of several watchers only the first one sees changes", CaughtBy: cases("rpc/directory-watchers"),
		Open: func() conformance.Opener {
			var watchers atomic.Int64
			return listedBy(listed{watch: func(w rpcdriver.EndpointWatcher) rpcdriver.EndpointWatcher {
				if watchers.Add(1) == 1 {
					return w
				}
				return &onlyOnce{EndpointWatcher: w}
			}})
		}(),
	},
	{
		Name: "rpc-directory-busy", Breaks: "Next returns although nothing has changed", CaughtBy: cases("rpc/directory-watchers"),
		Open: listedBy(listed{watch: func(w rpcdriver.EndpointWatcher) rpcdriver.EndpointWatcher { return &busy{EndpointWatcher: w} }}),
	},
	{
		Name: "rpc-directory-ended-shows", Breaks: "a Next whose context has ended shows what has changed", CaughtBy: cases("rpc/directory-ended"),
		Open: listedBy(listed{watch: func(w rpcdriver.EndpointWatcher) rpcdriver.EndpointWatcher { return endedShows{w} }}),
	},
	{
		Name: "rpc-directory-closed-shows", Breaks: "a watcher that is closed shows what has changed", CaughtBy: cases("rpc/directory-ended"),
		Open: listedBy(listed{watch: func(w rpcdriver.EndpointWatcher) rpcdriver.EndpointWatcher { return &closedShows{EndpointWatcher: w} }}),
	},
	{
		Name: "rpc-directory-lease-endless", Breaks: "an endpoint stays although nobody keeps it", CaughtBy: cases("rpc/directory-lease"),
		Open: listedBy(listed{entry: func(r rpcdriver.Registration) rpcdriver.Registration {
			go func() { _ = r.Keep(context.Background()) }() // until Close
			return r
		}}),
	},
	{
		Name: "rpc-directory-unkept", Breaks: "an endpoint vanishes although it is kept", CaughtBy: cases("rpc/directory-lease"),
		Open: listedBy(listed{entry: func(r rpcdriver.Registration) rpcdriver.Registration { return unkept{r} }}),
	},
	{
		Name: "rpc-directory-stale", Breaks: "a watcher never shows a server that joins later", CaughtBy: cases("rpc/rolling"),
		Open: listedBy(listed{url: "mem://rpc-directory-stale?rpc=directory", watch: func(w rpcdriver.EndpointWatcher) rpcdriver.EndpointWatcher { return &onlyOnce{EndpointWatcher: w} }}),
	},
	{
		Name: "rpc-unclaimed-directory", Breaks: "what was not claimed is let through: " + string(rpc.Directory), CaughtBy: cases("rpc/absent-directory"),
		Open: func(ctx context.Context) (fairlead.Provider, error) {
			p, err := listedBy(listed{})(ctx)
			if err != nil {
				return nil, err
			}
			return &drifted{listed: p.(*listed), change: unclaim(fairlead.RPC, rpc.Directory)}, nil
		},
	},
}

// drifted is a memory provider whose first description differs from the later
// ones.
type drifted struct {
	*listed
	later  atomic.Bool
	change func(*fairlead.Description)
}

func (d *drifted) Describe(ctx context.Context) (fairlead.Description, error) {
	desc, err := d.listed.Describe(ctx)
	if err == nil && !d.later.Swap(true) {
		d.change(&desc)
	}
	return desc, err
}

type backwards struct{ rpcdriver.EndpointWatcher }

func (b backwards) Next(ctx context.Context) ([]rpcdriver.Endpoint, error) {
	all, err := b.EndpointWatcher.Next(ctx)
	slices.Reverse(all)
	return all, err
}

type stays struct{ rpcdriver.Registration }

func (s stays) Close(context.Context) error {
	go func() { _ = s.Keep(context.Background()) }() // until the provider is closed
	return nil
}

// onlyOnce is a watcher that sees no changes.
type onlyOnce struct {
	rpcdriver.EndpointWatcher
	told atomic.Bool
}

func (o *onlyOnce) Next(ctx context.Context) ([]rpcdriver.Endpoint, error) {
	if !o.told.Swap(true) {
		return o.EndpointWatcher.Next(ctx)
	}
	<-ctx.Done()
	return nil, fairlead.ContextError(ctx)
}

// busy is a watcher that does not wait for long.
type busy struct {
	rpcdriver.EndpointWatcher
	last []rpcdriver.Endpoint
}

func (b *busy) Next(ctx context.Context) ([]rpcdriver.Endpoint, error) {
	short, cancel := context.WithTimeout(ctx, 20*time.Millisecond)
	defer cancel()
	now, err := b.EndpointWatcher.Next(short)
	if err != nil && ctx.Err() == nil && short.Err() != nil {
		return b.last, nil
	}
	b.last = now
	return now, err
}

// endedShows is a watcher that ignores that its context has ended.
type endedShows struct{ rpcdriver.EndpointWatcher }

func (e endedShows) Next(ctx context.Context) ([]rpcdriver.Endpoint, error) {
	if ctx.Err() != nil {
		if now, err := showNow(e.EndpointWatcher); err == nil {
			return now, nil
		}
	}
	return e.EndpointWatcher.Next(ctx)
}

// closedShows is a watcher that, after Close, still shows the earlier addresses.
type closedShows struct {
	rpcdriver.EndpointWatcher
	mu     sync.Mutex
	inHand []rpcdriver.Endpoint
}

func (c *closedShows) Next(ctx context.Context) ([]rpcdriver.Endpoint, error) {
	c.mu.Lock()
	inHand := c.inHand
	c.inHand = nil
	c.mu.Unlock()
	if inHand != nil {
		return inHand, nil
	}
	return c.EndpointWatcher.Next(ctx)
}

func (c *closedShows) Close(ctx context.Context) error {
	now, _ := showNow(c.EndpointWatcher)
	c.mu.Lock()
	c.inHand = now
	c.mu.Unlock()
	return c.EndpointWatcher.Close(ctx)
}

// showNow returns what has changed, without waiting for a change.
func showNow(w rpcdriver.EndpointWatcher) ([]rpcdriver.Endpoint, error) {
	now, cancel := context.WithTimeout(context.Background(), 10*time.Millisecond)
	defer cancel()
	return w.Next(now)
}

type unkept struct{ rpcdriver.Registration }

func (unkept) Keep(ctx context.Context) error {
	<-ctx.Done()
	return fairlead.ContextError(ctx)
}
