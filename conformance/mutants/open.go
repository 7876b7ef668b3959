package mutants

import (
	"context"
	"slices"
	"sync/atomic"

	"fairlead.dev"
	"fairlead.dev/conformance"
	"fairlead.dev/kv/driver"
	psdriver "fairlead.dev/pubsub/driver"
)

// hooks change what a memory provider does; a nil one changes nothing.
type hooks struct {
	describe func(*fairlead.Description)
	await    func(ctx context.Context, next awaiting, generation uint64) (fairlead.Description, error)
	store    func(ctx context.Context, name *string) error
	topic    func(ctx context.Context, name *string) error
	close    func(ctx context.Context, next func(context.Context) error) error
}

type awaiting = func(context.Context, uint64) (fairlead.Description, error)

// hooked is a memory provider with hooks.
type hooked struct {
	whole
	hooks
}

// withHooks opens memory providers with the same hooks.
func withHooks(h hooks) conformance.Opener {
	return withHooksOf(func() hooks { return h })
}

// withHooksOf opens memory providers, each with hooks of its own.
func withHooksOf(h func() hooks) conformance.Opener {
	return func(ctx context.Context) (fairlead.Provider, error) {
		p, err := fairlead.Open(ctx, "mem://")
		if err != nil {
			return nil, err
		}
		return &hooked{p.(whole), h()}, nil
	}
}

func (p *hooked) Describe(ctx context.Context) (fairlead.Description, error) {
	d, err := p.whole.Describe(ctx)
	if err == nil && p.describe != nil {
		p.describe(&d)
	}
	return d, err
}

func (p *hooked) Await(ctx context.Context, generation uint64) (fairlead.Description, error) {
	if p.await != nil {
		return p.await(ctx, p.whole.Await, generation)
	}
	return p.whole.Await(ctx, generation)
}

func (p *hooked) Close(ctx context.Context) error {
	if p.close != nil {
		return p.close(ctx, p.whole.Close)
	}
	return p.whole.Close(ctx)
}

func (p *hooked) OpenStore(ctx context.Context, c driver.StoreConfig) (driver.Store, error) {
	if p.store != nil {
		if err := p.store(ctx, &c.Name); err != nil {
			return nil, err
		}
	}
	return p.whole.OpenStore(ctx, c)
}

func (p *hooked) OpenTopic(ctx context.Context, c psdriver.TopicConfig) (psdriver.Topic, error) {
	if p.topic != nil {
		if err := p.topic(ctx, &c.Name); err != nil {
			return nil, err
		}
	}
	return p.whole.OpenTopic(ctx, c)
}

func (p *hooked) OpenSubscription(ctx context.Context, c psdriver.SubscriptionConfig) (psdriver.Subscription, error) {
	if p.topic != nil {
		if err := p.topic(ctx, &c.Topic); err != nil {
			return nil, err
		}
	}
	return p.whole.OpenSubscription(ctx, c)
}

// describing opens memory providers whose description is changed.
func describing(change func(*fairlead.Description)) conformance.Opener {
	return withHooks(hooks{describe: change})
}

// facetsOf opens memory providers with every facet's description changed.
func facetsOf(change func(*fairlead.FacetDescription)) conformance.Opener {
	return describing(func(d *fairlead.Description) {
		for i := range d.Facets {
			change(&d.Facets[i])
		}
	})
}

// ofKV opens memory providers with the description of the kv facet changed.
func ofKV(change func(*fairlead.FacetDescription)) conformance.Opener {
	return facetsOf(func(f *fairlead.FacetDescription) {
		if f.Facet == fairlead.KV {
			change(f)
		}
	})
}

// drifting opens memory providers that change only their first description, which
// is the one that the suite uses.
func drifting(change func(*fairlead.Description)) conformance.Opener {
	return withHooksOf(func() hooks {
		var later atomic.Bool
		return hooks{describe: func(d *fairlead.Description) {
			if !later.Swap(true) {
				change(d)
			}
		}}
	})
}

// unclaim makes a description lack a claim of a facet.
func unclaim(f fairlead.Facet, c fairlead.Claim) func(*fairlead.Description) {
	return func(d *fairlead.Description) {
		i := slices.IndexFunc(d.Facets, func(fd fairlead.FacetDescription) bool { return fd.Facet == f })
		d.Facets[i].Claims = slices.DeleteFunc(d.Facets[i].Claims, func(have fairlead.Claim) bool { return have == c })
	}
}
