package etcd

import (
	"bytes"
	"context"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"

	"fairlead.dev/providers"
)

// store is a handle of a key-value store.
type store struct {
	p      *provider
	prefix string // of its keys
	guard  []byte // the key that says that it exists

	life context.Context // ends with Close, or with the provider's
	end  context.CancelFunc
}

func (p *provider) newStore(name string) *store {
	s := &store{p: p, prefix: p.config.prefix + "/kv/" + name + "/", guard: []byte(p.registry(name))}
	s.life, s.end = context.WithCancel(p.life)
	return s
}

// create makes the store, unless it exists.
func (s *store) create(ctx context.Context) error {
	_, err := s.p.txn(ctx, &pb.TxnRequest{
		Compare: []*pb.Compare{isAt(s.guard, 0)},
		Success: []*pb.RequestOp{putOp(&pb.PutRequest{Key: s.guard})},
	})
	if providers.CodeOf(err) == providers.UnknownOutcome {
		// Nobody minds if it exists.
		return providers.Errorf(providers.Unavailable, "creating the store: %w", err)
	}
	return err
}

// key is where a key of the store is in etcd.
func (s *store) key(k string) []byte { return append([]byte(s.prefix), k...) }

// name is the key of the store that is at a key of etcd.
func (s *store) name(key []byte) string { return string(bytes.TrimPrefix(key, []byte(s.prefix))) }

// Close implements the kv driver's Store.
func (s *store) Close(context.Context) error {
	s.end()
	return nil
}

func (s *store) closed() error {
	if s.life.Err() == nil {
		return nil
	}
	return providers.Errorf(providers.Closed, "the store's handle is closed")
}

// commit carries out a transaction that writes to the store. Its conditions,
// and that the store exists, decide between Success and Failure. A store that
// was deleted is made again first.
func (s *store) commit(ctx context.Context, r *pb.TxnRequest) (*pb.TxnResponse, error) {
	guarded := &pb.TxnRequest{
		Compare: append(r.Compare, exists(s.guard)),
		Success: r.Success,
		Failure: append(r.Failure, rangeOp(&pb.RangeRequest{Key: s.guard, KeysOnly: true})),
	}
	for range attempts {
		resp, err := s.p.txn(ctx, guarded)
		if err != nil || resp.Succeeded {
			return resp, err
		}
		last := len(resp.Responses) - 1
		if len(resp.Responses[last].GetResponseRange().GetKvs()) > 0 {
			resp.Responses = resp.Responses[:last]
			return resp, nil
		}
		if err := s.create(ctx); err != nil {
			return nil, err
		}
	}
	return nil, providers.Errorf(providers.Unavailable, "the store is being deleted")
}
