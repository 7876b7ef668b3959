// Package intercept wraps a provider, so that hooks see every call that the suite
// makes of its drivers.
package intercept

import (
	"context"
	"time"

	"fairlead.dev"
	configdriver "fairlead.dev/config/driver"
	kvdriver "fairlead.dev/kv/driver"
	"fairlead.dev/providers"
	psdriver "fairlead.dev/pubsub/driver"
	rpcdriver "fairlead.dev/rpc/driver"
)

// Call is one call of a driver.
type Call struct {
	Op     string // the facet and the method: "kv.Do", "kv.Watcher.Next", "open.Clean"
	Target string // the name of the store, topic, source or service; may be empty
	// Input is the argument besides the context: a driver's type, for example
	// []driver.Op, or nil. It belongs to the caller again when After has returned.
	Input any
	Began time.Time // set before Before is called
}

// Hooks see the calls. A nil hook does nothing. They are called concurrently.
type Hooks struct {
	// Before is called before a call. If it fails, the call is not made, and fails
	// with this error. A Close is made nevertheless, and its context never ends here.
	Before func(ctx context.Context, c *Call) error
	// After is called with the result of a call: a driver's type, for example
	// []driver.Result, or nil. It must not keep or change the output.
	After func(c *Call, output any, err error)
}

// run makes a call between the hooks.
func run[O any](ctx context.Context, h *Hooks, c Call, call func() (O, error)) (O, error) {
	c.Began = time.Now()
	if h.Before != nil {
		if err := h.Before(ctx, &c); err != nil {
			var none O
			return none, err
		}
	}
	output, err := call()
	if h.After != nil {
		h.After(&c, output, err)
	}
	return output, err
}

// runPlain is run for a call that returns an error only.
func runPlain(ctx context.Context, h *Hooks, c Call, call func() error) error {
	_, err := run(ctx, h, c, func() (any, error) { return nil, call() })
	return err
}

// runBatch makes a call that returns a result for each of its items. failed makes
// the result of an item for which the call was not made.
func runBatch[I, R any](ctx context.Context, h *Hooks, c Call, items []I, call func() []R, failed func(error) R) []R {
	c.Input = items
	results, err := run(ctx, h, c, func() ([]R, error) { return call(), nil })
	if err == nil {
		return results
	}
	results = make([]R, len(items))
	for i := range results {
		results[i] = failed(err)
	}
	return results
}

// runClose makes a call that closes something, even if Before fails.
func runClose(ctx context.Context, h *Hooks, c Call, call func(context.Context) error) error {
	c.Began = time.Now()
	if h.Before != nil {
		_ = h.Before(context.WithoutCancel(ctx), &c) // what stays open would leak
	}
	err := call(ctx)
	if h.After != nil {
		h.After(&c, nil, err)
	}
	return err
}

// provider is a provider whose calls are intercepted. Like the provider of a plugin,
// it has the methods of every facet; its description says which ones it offers.
type provider struct {
	fairlead.Provider
	hooks *Hooks
}

var (
	_ kvdriver.Provider     = provider{}
	_ psdriver.Provider     = provider{}
	_ configdriver.Provider = provider{}
	_ rpcdriver.Provider    = provider{}
	_ rpcdriver.Directory   = provider{}
)

// Opener returns an opener of providers whose calls the hooks see. It is a call
// itself, "open.Open". The providers are [providers.Cleaner] and [rpcdriver.Local] if
// the ones that open returns are.
func Opener(open func(context.Context) (fairlead.Provider, error), h Hooks) func(context.Context) (fairlead.Provider, error) {
	listeners := &listeners{}
	return func(ctx context.Context) (fairlead.Provider, error) {
		p, err := run(ctx, &h, Call{Op: "open.Open"}, func() (fairlead.Provider, error) { return open(ctx) })
		if err != nil || p == nil {
			return p, err
		}
		return wrap(p, &h, listeners), nil
	}
}

func wrap(p fairlead.Provider, h *Hooks, all *listeners) fairlead.Provider {
	plain := provider{Provider: p, hooks: h}
	local := localCarrier{all: all, hooks: h}
	c, isCleaner := p.(providers.Cleaner)
	var isLocal bool
	local.Local, isLocal = p.(rpcdriver.Local)
	switch {
	case isCleaner && isLocal:
		return struct {
			localProvider
			cleaner
		}{localProvider{plain, local}, cleaner{c, h}}
	case isCleaner:
		return struct {
			provider
			cleaner
		}{plain, cleaner{c, h}}
	case isLocal:
		return localProvider{plain, local}
	}
	return plain
}

// As implements the method that [fairlead.As] calls.
func (p provider) As(target any) bool { return fairlead.As(p.Provider, target) }

// Close implements [fairlead.Provider].
func (p provider) Close(ctx context.Context) error {
	return runClose(ctx, p.hooks, Call{Op: "open.Close"}, p.Provider.Close)
}

// asDriver returns the provider as a driver of a facet.
func asDriver[D any](p fairlead.Provider, facet fairlead.Facet) (D, error) {
	d, ok := p.(D)
	if !ok {
		return d, fairlead.Errorf(fairlead.Internal, "the provider describes the %s facet and does not implement it", facet)
	}
	return d, nil
}

// open opens something of a provider, and wraps it.
func open[D, H any](ctx context.Context, p provider, facet fairlead.Facet, c Call, open func(D) (H, error), wrap func(H) H) (H, error) {
	h, err := run(ctx, p.hooks, c, func() (H, error) {
		d, err := asDriver[D](p.Provider, facet)
		if err != nil {
			var none H
			return none, err
		}
		return open(d)
	})
	if err != nil || any(h) == nil {
		return h, err
	}
	return wrap(h), nil
}

// manage makes a call of a provider that opens nothing.
func manage[D, O any](ctx context.Context, p provider, facet fairlead.Facet, c Call, call func(D) (O, error)) (O, error) {
	return run(ctx, p.hooks, c, func() (O, error) {
		d, err := asDriver[D](p.Provider, facet)
		if err != nil {
			var none O
			return none, err
		}
		return call(d)
	})
}

// managePlain is manage for a call that returns an error only.
func managePlain[D any](ctx context.Context, p provider, facet fairlead.Facet, c Call, call func(D) error) error {
	_, err := manage(ctx, p, facet, c, func(d D) (any, error) { return nil, call(d) })
	return err
}

// cleaner is the part of a provider that is a [providers.Cleaner].
type cleaner struct {
	inner providers.Cleaner
	hooks *Hooks
}

// Clean implements [providers.Cleaner].
func (c cleaner) Clean(ctx context.Context, prefix string) ([]string, error) {
	return run(ctx, c.hooks, Call{Op: "open.Clean", Target: prefix}, func() ([]string, error) { return c.inner.Clean(ctx, prefix) })
}
