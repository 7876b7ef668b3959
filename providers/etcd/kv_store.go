package etcd

import (
	"bytes"
	"context"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"

	"fairlead.dev"
	"fairlead.dev/providers"
)

// store is a handle of a key-value store.
type store struct {
	p      *provider
	prefix string // of its keys
	entry  []byte // the key that says that it exists, also while it is empty

	leaseTag uint32 // the upper half of the ids of its leases

	life *providers.Lifetime
}

func (p *provider) newStore(name string) *store {
	prefix := p.config.prefix + "/kv/" + name + "/"
	return &store{
		p: p, prefix: prefix, entry: []byte(p.registry(name)), leaseTag: leaseTag(prefix),
		life: p.life.Child("store"),
	}
}

// create creates the store, unless it exists.
func (s *store) create(ctx context.Context) error {
	// A full database refuses every transaction that might write.
	found, err := s.p.readRange(ctx, &pb.RangeRequest{Key: s.entry, KeysOnly: true})
	if err != nil || len(found.Kvs) > 0 {
		return err
	}
	_, err = s.p.commitTxn(ctx, &pb.TxnRequest{
		Compare: []*pb.Compare{isAt(s.entry, 0)},
		Success: []*pb.RequestOp{putOp(&pb.PutRequest{Key: s.entry})},
	})
	if fairlead.CodeOf(err) == fairlead.UnknownOutcome {
		// It does no harm if the store was created.
		return fairlead.Errorf(fairlead.Unavailable, "creating the store: %w", err)
	}
	return err
}

// key returns the key in etcd of a key of the store.
func (s *store) key(k string) []byte { return append([]byte(s.prefix), k...) }

// name returns the key of the store for a key in etcd.
func (s *store) name(key []byte) string { return string(bytes.TrimPrefix(key, []byte(s.prefix))) }

// Close implements the kv driver's Store.
func (s *store) Close(context.Context) error {
	s.life.End()
	return nil
}
