package conformance

import (
	"context"
	"fmt"
	"slices"
	"time"

	"fairlead.dev"
	"fairlead.dev/kv"
	"fairlead.dev/providers"
	"fairlead.dev/pubsub"
	"fairlead.dev/rpc"
)

// Prefix begins every name that the suite makes on a backend.
const Prefix = "flconf-"

// cleanTimeout bounds the removal of names when a run ends.
const cleanTimeout = 20 * time.Second

// Cleaned says what was removed from a backend, and what could not be.
type Cleaned struct {
	Removed []string // each a facet, a space and a name, as in "kv flconf-…"
	Left    []string // each with the reason
	// Unmanaged: whatever is in Left could not be removed because the provider has no
	// way to do so, or its user lacks the permission, which is no fault.
	Unmanaged bool
}

// Clean removes the names that runs left on the backend because they ended
// without cleaning up: all names that start with [Prefix], and what the provider keeps
// for them. A failure to remove one does not keep it from removing others. It returns
// an error only if the provider cannot be described. Do not call it during a run on the
// same backend.
func Clean(ctx context.Context, p fairlead.Provider) (Cleaned, error) {
	return cleanNames(ctx, p, Prefix)
}

// clean removes the names of this run, and what the provider keeps for them.
func (r *run) clean(ctx context.Context) Cleaned {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanTimeout)
	defer cancel()
	done, err := cleanNames(ctx, r.provider, r.prefix)
	if err != nil {
		done.keep("names "+r.prefix+"*", err)
	}
	return done
}

// sweep removes the names that the cases so far have made, so that a backend that
// is killed and started need not restore them. Names that it cannot remove are
// left to the end of the run.
func (r *run) sweep(ctx context.Context) {
	if ctx.Err() != nil {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, cleanTimeout)
	defer cancel()
	if d, err := r.provider.Describe(ctx); err == nil {
		var done Cleaned
		done.deleteNames(ctx, r.provider, d, r.prefix)
	}
}

// cleanNames removes the names that start with prefix, and what the provider keeps
// for them.
func cleanNames(ctx context.Context, p fairlead.Provider, prefix string) (Cleaned, error) {
	done := Cleaned{Unmanaged: true}
	d, err := p.Describe(ctx)
	if err != nil {
		return Cleaned{}, err
	}
	done.deleteNames(ctx, p, d, prefix)
	done.cleanRest(ctx, p, d, prefix)
	done.Unmanaged = done.Unmanaged && len(done.Left) > 0
	return done, nil
}

// keep notes what could not be removed.
func (c *Cleaned) keep(what string, err error) {
	c.Left = append(c.Left, fmt.Sprintf("%s: %v", what, err))
	code := fairlead.CodeOf(err)
	c.Unmanaged = c.Unmanaged && (code == fairlead.Unsupported || code == fairlead.PermissionDenied)
}

// managers delete the names that a facet can list.
var managers = []struct {
	facet  fairlead.Facet
	claim  fairlead.Claim
	list   func(context.Context, fairlead.Provider, string) ([]string, error)
	remove func(context.Context, fairlead.Provider, string) error
}{
	{fairlead.KV, kv.Manage, kv.Stores, kv.DeleteStore},
	{fairlead.PubSub, pubsub.Manage, pubsub.Topics, pubsub.DeleteTopic},
}

// deleteNames deletes the stores and topics whose names start with prefix.
func (c *Cleaned) deleteNames(ctx context.Context, p fairlead.Provider, d fairlead.Description, prefix string) {
	for _, m := range managers {
		fd, ok := d.Facet(m.facet)
		if !ok {
			continue
		}
		all := fmt.Sprintf("%s %s*", m.facet, prefix)
		if !fd.Has(m.claim) {
			c.keep(all, fairlead.Errorf(fairlead.Unsupported, "the provider cannot list and delete names: it does not claim %s", m.claim))
			continue
		}
		names, err := m.list(ctx, p, prefix)
		if err != nil {
			c.keep(all, err)
		}
		for _, name := range names {
			name, err := string(m.facet)+" "+name, m.remove(ctx, p, name)
			if err != nil {
				c.keep(name, err)
				continue
			}
			c.Removed = append(c.Removed, name)
		}
	}
}

// cleanRest removes what the provider keeps for the names and no facet can list.
func (c *Cleaned) cleanRest(ctx context.Context, p fairlead.Provider, d fairlead.Description, prefix string) {
	cleaner, ok := p.(providers.Cleaner)
	if !ok {
		rpcFacet, _ := d.Facet(fairlead.RPC)
		if rpcFacet.Has(rpc.Directory) && !d.Volatile {
			c.keep(fmt.Sprintf("%s %s*", fairlead.RPC, prefix), fairlead.Errorf(fairlead.Unsupported,
				"the provider cannot remove what it keeps of services: it is no providers.Cleaner, or it runs in a separate process; open the backend directly"))
		}
		return
	}
	removed, err := cleaner.Clean(ctx, prefix)
	for _, name := range removed {
		if !slices.Contains(c.Removed, name) { // its store or topic was deleted
			c.Removed = append(c.Removed, name)
		}
	}
	if err != nil {
		c.keep(fmt.Sprintf("what the provider keeps for names %s*", prefix), err)
	}
}
