package etcd

import (
	"context"
	"maps"
	"slices"
	"strings"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"

	"fairlead.dev/kv/driver"
)

// registry returns the key that says that a store exists, also while it is
// empty.
func (p *provider) registry(store string) string { return p.config.prefix + "/kv-stores/" + store }

// OpenStore implements the kv driver's Provider.
func (p *provider) OpenStore(ctx context.Context, c driver.StoreConfig) (driver.Store, error) {
	s := p.newStore(c.Name)
	if err := s.create(ctx); err != nil {
		s.life.End()
		return nil, err
	}
	return s, nil
}

// Stores implements the kv driver's Provider. A store exists if it has an entry
// in the registry, or a key: an open handle of one that was deleted may have
// written again.
func (p *provider) Stores(ctx context.Context, prefix string) ([]string, error) {
	key := p.registry(prefix)
	r, err := p.readRange(ctx, &pb.RangeRequest{Key: []byte(key), RangeEnd: prefixEnd(key), KeysOnly: true})
	if err != nil {
		return nil, err
	}
	names := map[string]struct{}{}
	for _, kv := range r.Kvs {
		names[strings.TrimPrefix(string(kv.Key), p.registry(""))] = struct{}{}
	}
	if err := p.storesWithKeys(ctx, prefix, names); err != nil {
		return nil, err
	}
	return slices.Collect(maps.Keys(names)), nil
}

// storesWithKeys adds the names of the stores that hold keys: it looks for the
// first key of each, and continues after its last one.
func (p *provider) storesWithKeys(ctx context.Context, prefix string, names map[string]struct{}) error {
	root := p.config.prefix + "/kv/"
	r := &pb.RangeRequest{Key: []byte(root + prefix), RangeEnd: prefixEnd(root + prefix), KeysOnly: true, Limit: 1}
	for {
		found, err := p.readRange(ctx, r)
		if err != nil || len(found.Kvs) == 0 {
			return err
		}
		name, _, _ := strings.Cut(strings.TrimPrefix(string(found.Kvs[0].Key), root), "/")
		names[name] = struct{}{}
		r.Key = prefixEnd(root + name + "/")
	}
}

// deletedAtOnce is how many keys one call deletes, so that the server serves
// others in between.
const deletedAtOnce = 1000

// DeleteStore implements the kv driver's Provider. The name goes last: after a
// failure, the store is still listed and can be deleted again.
func (p *provider) DeleteStore(ctx context.Context, name string) error {
	s := p.newStore(name)
	defer s.life.End()
	all := &pb.RangeRequest{Key: []byte(s.prefix), RangeEnd: prefixEnd(s.prefix), KeysOnly: true, Limit: deletedAtOnce}
	for {
		r, err := p.readRange(ctx, all)
		if err != nil {
			return err
		}
		if !r.More {
			break
		}
		last := r.Kvs[len(r.Kvs)-1].Key
		if err := p.deleteRange(ctx, r.Kvs[0].Key, append(last, 0)); err != nil {
			return err
		}
	}
	if err := p.deleteRange(ctx, all.Key, all.RangeEnd); err != nil {
		return err
	}
	if err := s.revokeUnusedLeases(ctx); err != nil {
		return err
	}
	_, err := p.commitTxn(ctx, &pb.TxnRequest{Success: []*pb.RequestOp{
		deleteOp(&pb.DeleteRangeRequest{Key: all.Key, RangeEnd: all.RangeEnd}),
		deleteOp(&pb.DeleteRangeRequest{Key: s.entry}),
	}})
	return err
}

func (p *provider) deleteRange(ctx context.Context, from, to []byte) error {
	return p.calls.Write(ctx, func(ctx context.Context) error {
		_, err := p.kv.DeleteRange(ctx, &pb.DeleteRangeRequest{Key: from, RangeEnd: to})
		return err
	})
}

// prefixEnd returns the end of the range of keys that start with prefix.
func prefixEnd(prefix string) []byte {
	end := []byte(prefix)
	for i := len(end) - 1; i >= 0; i-- {
		if end[i] < 0xff {
			end[i]++
			return end[:i+1]
		}
	}
	return []byte{0} // to the end of all keys
}
