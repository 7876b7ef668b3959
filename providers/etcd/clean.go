package etcd

import (
	"context"
	"maps"
	"slices"
	"strings"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"

	"fairlead.dev"
	"fairlead.dev/providers"
)

var _ providers.Cleaner = (*provider)(nil)

// Clean implements [providers.Cleaner]. The addresses of services are in no list of
// names, and neither is what is left of a topic whose number another program deleted.
// Stores lists every store that has keys.
func (p *provider) Clean(ctx context.Context, prefix string) ([]string, error) {
	removed := map[string]bool{}
	err := p.cleanTopics(ctx, prefix, removed)
	if err == nil {
		err = p.cleanServices(ctx, prefix, removed)
	}
	return slices.Sorted(maps.Keys(removed)), err
}

func (p *provider) cleanTopics(ctx context.Context, prefix string, removed map[string]bool) error {
	root := p.config.prefix + "/ps/"
	return p.deletePages(ctx, root+prefix, true, func(key string, _ int64) {
		removed[string(fairlead.PubSub)+" "+nameBelow(root, key)] = true
	})
}

// cleanServices deletes the addresses, and then the leases that had no other keys.
func (p *provider) cleanServices(ctx context.Context, prefix string, removed map[string]bool) error {
	root := p.config.prefix + "/rpc/"
	leases := map[int64]bool{}
	err := p.deletePages(ctx, root+prefix, false, func(key string, lease int64) {
		removed[string(fairlead.RPC)+" "+nameBelow(root, key)] = true
		leases[lease] = true
	})
	if err != nil {
		return err
	}
	delete(leases, 0) // no lease
	return p.revokeKeyless(ctx, slices.Collect(maps.Keys(leases)))
}

// deletePages deletes all keys with a prefix, and calls deleted with each. keysOnly
// leaves out the values, and the leases: etcd 3.7 does not tell them then.
func (p *provider) deletePages(ctx context.Context, prefix string, keysOnly bool, deleted func(key string, lease int64)) error {
	from, to := []byte(prefix), prefixEnd(prefix)
	for more := true; more; {
		r, err := p.readRange(ctx, &pb.RangeRequest{Key: from, RangeEnd: to, KeysOnly: keysOnly, Limit: deletedAtOnce})
		if err != nil || len(r.Kvs) == 0 {
			return err
		}
		last := append(r.Kvs[len(r.Kvs)-1].Key, 0)
		if err := p.deleteRange(ctx, from, last); err != nil {
			return err
		}
		for _, kv := range r.Kvs {
			deleted(string(kv.Key), kv.Lease)
		}
		from, more = last, r.More
	}
	return nil
}

// nameBelow returns the part of a key between root and the next slash.
func nameBelow(root, key string) string {
	name, _, _ := strings.Cut(strings.TrimPrefix(key, root), "/")
	return name
}
