package etcd

import (
	"context"
	"encoding/binary"
	"time"

	"go.etcd.io/etcd/api/v3/mvccpb"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"

	"fairlead.dev"
)

// A key with a time to live has a lease, with which it goes. But a new leader
// of the cluster, also after a restart, lets every lease begin anew. So the
// value of such a key begins with the moment at which its time ends, and who
// finds it there later deletes it before saying that it does not exist.

// deadlineBytes is how much longer the value of a key with a time to live is.
const deadlineBytes = 8

// lease is what keys are written with that have the same time to live.
type lease struct {
	id       int64
	deadline time.Time
}

func (l lease) wrap(value []byte) []byte {
	b := binary.BigEndian.AppendUint64(make([]byte, 0, deadlineBytes+len(value)), uint64(l.deadline.UnixMilli()))
	return append(b, value...)
}

// value takes what is stored apart. deadline is zero for a key that stays.
func value(kv *mvccpb.KeyValue) (v []byte, deadline time.Time, err error) {
	if kv.Lease == 0 {
		return kv.Value, time.Time{}, nil
	}
	if len(kv.Value) < deadlineBytes {
		return nil, time.Time{}, fairlead.Errorf(fairlead.Internal, "the key holds something that this provider did not write")
	}
	ms := binary.BigEndian.Uint64(kv.Value)
	return kv.Value[deadlineBytes:], time.UnixMilli(int64(ms)), nil
}

// over reports whether a time to live had ended at a moment, whoever's clock
// measured it.
func (p *provider) over(deadline, at time.Time) bool {
	return !deadline.IsZero() && at.After(deadline.Add(p.config.clockSkew))
}

// leaseSeconds is a time to live as etcd counts it.
func leaseSeconds(ttl time.Duration) int64 { return int64((ttl + time.Second - 1) / time.Second) }

// newLease begins a time to live.
func (p *provider) newLease(ctx context.Context, ttl time.Duration) (lease, error) {
	granted, err := p.grant(ctx, leaseSeconds(ttl))
	if err != nil {
		return lease{}, err
	}
	return lease{id: granted.ID, deadline: time.Now().Add(time.Duration(granted.TTL) * time.Second)}, nil
}

// grant makes a lease. Without an answer there may be one that nobody uses,
// and that ends by itself.
func (p *provider) grant(ctx context.Context, seconds int64) (resp *pb.LeaseGrantResponse, err error) {
	err = p.calls.Read(ctx, func(ctx context.Context) (err error) {
		resp, err = p.lease.LeaseGrant(ctx, &pb.LeaseGrantRequest{TTL: seconds})
		return err
	})
	return resp, err
}

func (p *provider) revoke(ctx context.Context, id int64) error {
	return p.calls.Read(ctx, func(ctx context.Context) error {
		_, err := p.lease.LeaseRevoke(ctx, &pb.LeaseRevokeRequest{ID: id})
		return err
	})
}

// drop revokes a lease that no key has, some time. If it cannot be, it ends by
// itself.
func (p *provider) drop(id int64) {
	select {
	case p.unused <- id:
	default:
	}
}

// revokeUnusedLeases revokes the leases that no key has until the provider is
// closed.
func (p *provider) revokeUnusedLeases() {
	for {
		select {
		case <-p.life.Done():
			return
		case id := <-p.unused:
			_ = p.revoke(p.life.Context(), id)
		}
	}
}

// remove deletes a key whose time to live has ended, unless somebody has
// written it meanwhile.
func (s *store) remove(ctx context.Context, kv *mvccpb.KeyValue) error {
	_, err := s.p.txn(ctx, &pb.TxnRequest{
		Compare: []*pb.Compare{isAt(kv.Key, kv.ModRevision)},
		Success: []*pb.RequestOp{deleteOp(&pb.DeleteRangeRequest{Key: kv.Key})},
	})
	if fairlead.CodeOf(err) == fairlead.UnknownOutcome {
		return fairlead.Errorf(fairlead.Unavailable, "removing a key whose time to live has ended: %w", err)
	}
	return err
}

// clear removes those of the keys whose time to live has ended, and reports
// whether there were any.
func (s *store) clear(ctx context.Context, kvs []*mvccpb.KeyValue) (any bool, err error) {
	for _, kv := range kvs {
		_, deadline, err := value(kv)
		if err == nil && s.p.over(deadline, time.Now()) {
			any, err = true, s.remove(ctx, kv)
		}
		if err != nil {
			return any, err
		}
	}
	return any, nil
}
