package dapr

import (
	"bytes"
	"context"

	commonv1 "github.com/dapr/dapr/pkg/proto/common/v1"
	runtimev1 "github.com/dapr/dapr/pkg/proto/runtime/v1"

	"fairlead.dev"
)

// stateKey is a key of the state component, with the content that was read last.
type stateKey struct {
	p    *provider
	name string // of the component
	key  string
	etag string
	data []byte // empty, without an etag: the key was never written

	prefetched  bool  // prefetch has read the key: the next read sends no request
	prefetchErr error // the error of prefetch
}

// read reads the key, unless prefetch has read it.
func (k *stateKey) read(ctx context.Context) error {
	if k.prefetched {
		k.prefetched = false
		return k.prefetchErr
	}
	return k.p.calls.Read(ctx, func(ctx context.Context) error {
		r, err := k.p.client.GetState(ctx, &runtimev1.GetStateRequest{
			StoreName: k.name, Key: k.key, Consistency: commonv1.StateOptions_CONSISTENCY_STRONG,
		})
		k.etag, k.data = r.GetEtag(), r.GetData()
		return err
	})
}

// write writes the key if it still has the etag that was read. After an error it
// is not known whether the write was made: a component reports an etag mismatch
// also when it lost its backend and tried more than once.
func (k *stateKey) write(ctx context.Context, data []byte) error {
	item := &commonv1.StateItem{Key: k.key, Value: data, Options: &commonv1.StateOptions{
		Concurrency: commonv1.StateOptions_CONCURRENCY_FIRST_WRITE, Consistency: commonv1.StateOptions_CONSISTENCY_STRONG,
	}}
	if k.etag != "" {
		item.Etag = &commonv1.Etag{Value: k.etag}
	}
	return k.p.calls.Write(ctx, func(ctx context.Context) error {
		_, err := k.p.client.SaveState(ctx, &runtimev1.SaveStateRequest{StoreName: k.name, States: []*commonv1.StateItem{item}})
		return err
	})
}

// prefetch reads several keys of one component with one request. If they do not
// fit into one response, they stay unread, and each is read by itself.
func (p *provider) prefetch(ctx context.Context, keys []*stateKey) {
	req := &runtimev1.GetBulkStateRequest{StoreName: keys[0].name, Parallelism: int32(len(keys))}
	wanted := map[string]bool{}
	for _, k := range keys {
		if !wanted[k.key] {
			wanted[k.key] = true
			req.Keys = append(req.Keys, k.key)
		}
	}
	found := map[string]*runtimev1.BulkStateItem{}
	failure := p.calls.Read(ctx, func(ctx context.Context) error {
		r, err := p.client.GetBulkState(ctx, req)
		for _, item := range r.GetItems() {
			found[item.GetKey()] = item
		}
		return err
	})
	if fairlead.CodeOf(failure) == fairlead.TooLarge {
		return
	}
	for _, k := range keys {
		k.setPrefetched(found[k.key], failure)
		if len(req.Keys) < len(keys) {
			k.data = bytes.Clone(k.data) // two operations on one key share the response
		}
	}
}

// setPrefetched stores the result of prefetch for one key.
func (k *stateKey) setPrefetched(item *runtimev1.BulkStateItem, failure error) {
	k.prefetched, k.prefetchErr = true, failure
	switch {
	case failure != nil:
	case item == nil:
		k.prefetchErr = fairlead.Errorf(fairlead.Internal, "unexpected response from the sidecar: a key is missing")
	case item.GetError() != "":
		k.prefetchErr = fairlead.Errorf(fairlead.Unavailable, "the sidecar's component failed: %s", item.GetError())
	default:
		k.etag, k.data = item.GetEtag(), item.GetData()
	}
}
