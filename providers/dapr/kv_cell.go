package dapr

import (
	"context"

	commonv1 "github.com/dapr/dapr/pkg/proto/common/v1"
	runtimev1 "github.com/dapr/dapr/pkg/proto/runtime/v1"
)

// cell is a key of the state component, with what it held when it was read.
type cell struct {
	p    *provider
	name string // of the component
	key  string
	etag string
	data []byte // empty, with no etag: the key was never written
}

// read reads the key.
func (c *cell) read(ctx context.Context) error {
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
