package dapr

import (
	"bytes"
	"context"

	commonv1 "github.com/dapr/dapr/pkg/proto/common/v1"
	runtimev1 "github.com/dapr/dapr/pkg/proto/runtime/v1"

	"fairlead.dev"
)

// cell is a key of the state component, with what it held when it was read.
type cell struct {
	p    *provider
	name string // of the component
	key  string
	etag string
	data []byte // empty, with no etag: the key was never written

	known   bool  // the key was read ahead, so that the next read need not ask
	failure error // of that
}

// read reads the key, unless it was read ahead.
func (c *cell) read(ctx context.Context) error {
	if c.known {
		c.known = false
		return c.failure
	}
	return c.p.do(ctx, func(ctx context.Context) error {
		r, err := c.p.client.GetState(ctx, &runtimev1.GetStateRequest{
			StoreName: c.name, Key: c.key, Consistency: commonv1.StateOptions_CONSISTENCY_STRONG,
		})
		c.etag, c.data = r.GetEtag(), r.GetData()
		return err
	})
}

// write writes the key if nobody has since it was read. After an error it is
// not known whether it did: components say that an etag does not match when they
// have lost their backend, and try more than once.
func (c *cell) write(ctx context.Context, data []byte) error {
	item := &commonv1.StateItem{Key: c.key, Value: data, Options: &commonv1.StateOptions{
		Concurrency: commonv1.StateOptions_CONCURRENCY_FIRST_WRITE, Consistency: commonv1.StateOptions_CONSISTENCY_STRONG,
	}}
	if c.etag != "" {
		item.Etag = &commonv1.Etag{Value: c.etag}
	}
	return c.p.change(ctx, func(ctx context.Context) error {
		_, err := c.p.client.SaveState(ctx, &runtimev1.SaveStateRequest{StoreName: c.name, States: []*commonv1.StateItem{item}})
		return err
	})
}

// readAhead reads the keys of several cells, whose component is one, by one
// request; unless they are too large for one answer: then each has to be read by
// itself.
func (p *provider) readAhead(ctx context.Context, cells []*cell) {
	req := &runtimev1.GetBulkStateRequest{StoreName: cells[0].name, Parallelism: int32(len(cells))}
	wanted := map[string]bool{}
	for _, c := range cells {
		if !wanted[c.key] {
			wanted[c.key] = true
			req.Keys = append(req.Keys, c.key)
		}
	}
	found := map[string]*runtimev1.BulkStateItem{}
	failure := p.do(ctx, func(ctx context.Context) error {
		r, err := p.client.GetBulkState(ctx, req)
		for _, item := range r.GetItems() {
			found[item.GetKey()] = item
		}
		return err
	})
	if fairlead.CodeOf(failure) == fairlead.TooLarge {
		return
	}
	for _, c := range cells {
		c.ahead(found[c.key], failure)
		if len(req.Keys) < len(cells) {
			c.data = bytes.Clone(c.data) // a key may come twice
		}
	}
}

// ahead takes what was read ahead.
func (c *cell) ahead(item *runtimev1.BulkStateItem, failure error) {
	c.known, c.failure = true, failure
	switch {
	case failure != nil:
	case item == nil:
		c.failure = fairlead.Errorf(fairlead.Internal, "unexpected answer of the sidecar: a key is left out")
	case item.GetError() != "":
		c.failure = fairlead.Errorf(fairlead.Unavailable, "the sidecar's component failed: %s", item.GetError())
	default:
		c.etag, c.data = item.GetEtag(), item.GetData()
	}
}
