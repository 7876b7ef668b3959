package etcd

import (
	"context"
	"encoding/binary"
	"errors"
	"hash/fnv"
	"math"
	"math/rand/v2"
	"time"

	"go.etcd.io/etcd/api/v3/mvccpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"

	"fairlead.dev"
	"fairlead.dev/providers"
)

// A key with a time to live has a lease, and is deleted when the lease ends. But a
// new leader of the cluster restarts every lease, also after a restart. So the
// value of such a key begins with the time at which its time to live ends, and a
// reader that finds the key later deletes it and answers that it does not exist.

// deadlineBytes is how much longer the value of a key with a time to live is.
const deadlineBytes = 8

// lease is the lease of keys that have the same time to live.
type lease struct {
	id       int64
	deadline time.Time
}

func (l lease) encodeValue(value []byte) []byte {
	b := binary.BigEndian.AppendUint64(make([]byte, 0, deadlineBytes+len(value)), uint64(l.deadline.UnixMilli()))
	return append(b, value...)
}

// decodeValue returns the stored value, and the time at which its time to live
// ends. That time is zero for a key without a time to live, and for a key with a
// lease that another program gave it: its value has no such time.
func decodeValue(kv *mvccpb.KeyValue) (v []byte, deadline time.Time) {
	if kv.Lease == 0 || len(kv.Value) < deadlineBytes {
		return kv.Value, time.Time{}
	}
	ms := binary.BigEndian.Uint64(kv.Value)
	if ms > latestDeadline {
		return kv.Value, time.Time{}
	}
	return kv.Value[deadlineBytes:], time.UnixMilli(int64(ms))
}

// latestDeadline is later than the end of every lease that etcd grants, which lasts
// 285 years at most, in milliseconds since 1970. Text is later.
const latestDeadline = 1 << 44

// isExpired reports whether a time to live had ended at a time, by any clock
// that may have measured it.
func (p *provider) isExpired(deadline, at time.Time) bool {
	return !deadline.IsZero() && at.After(deadline.Add(p.config.clockSkew))
}

// leaseSeconds returns a time to live in the unit of etcd, rounded up.
func leaseSeconds(ttl time.Duration) int64 {
	seconds := int64(ttl / time.Second)
	if ttl%time.Second > 0 {
		seconds++
	}
	return seconds
}

// newLease grants a lease of the store for a time to live.
func (s *store) newLease(ctx context.Context, ttl time.Duration) (lease, error) {
	for {
		id := int64(s.leaseTag)<<32 | int64(rand.Uint32())
		granted, err := s.p.grant(ctx, &pb.LeaseGrantRequest{ID: id, TTL: leaseSeconds(ttl)})
		switch {
		case errors.Is(err, rpctypes.ErrGRPCLeaseExist):
			continue // by chance
		case err != nil:
			return lease{}, err
		}
		return lease{id: granted.ID, deadline: time.Now().Add(time.Duration(granted.TTL) * time.Second)}, nil
	}
}

// leaseTag returns the upper half of the ids of a store's leases, by which DeleteStore
// finds those whose keys were overwritten or deleted. It is not 0. No other program's
// lease has it, except by chance: then it is revoked only if it has no keys.
func leaseTag(storePrefix string) uint32 {
	h := fnv.New32a()
	h.Write([]byte(storePrefix))
	return h.Sum32()&math.MaxInt32 | 1
}

// grant makes a lease. If the answer is lost, there may be a lease that nothing
// uses; it ends by itself.
func (p *provider) grant(ctx context.Context, r *pb.LeaseGrantRequest) (resp *pb.LeaseGrantResponse, err error) {
	err = p.calls.Read(ctx, func(ctx context.Context) (err error) {
		resp, err = p.lease.LeaseGrant(ctx, r)
		return err
	})
	return resp, err
}

// revokeUnusedLeases revokes the leases of the store that no key has. Times to live may
// be of years, and a lease outlives its keys. A write that has granted one and not used
// it yet fails, as if the store had been deleted after it. A user that may not list
// leases leaves them to end by themselves.
func (s *store) revokeUnusedLeases(ctx context.Context) error {
	var all *pb.LeaseLeasesResponse
	err := s.p.calls.Read(ctx, func(ctx context.Context) (err error) {
		all, err = s.p.lease.LeaseLeases(ctx, &pb.LeaseLeasesRequest{})
		return err
	})
	if err != nil {
		return unlessDenied(err)
	}
	var ids []int64
	for _, l := range all.Leases {
		if uint32(l.ID>>32) == s.leaseTag {
			ids = append(ids, l.ID)
		}
	}
	return unlessDenied(s.p.revokeKeyless(ctx, ids))
}

func unlessDenied(err error) error {
	if fairlead.CodeOf(err) == fairlead.PermissionDenied {
		return nil
	}
	return err
}

// revokeKeyless revokes the leases that have no keys.
func (p *provider) revokeKeyless(ctx context.Context, ids []int64) error {
	for _, id := range ids {
		var found *pb.LeaseTimeToLiveResponse
		err := p.calls.Read(ctx, func(ctx context.Context) (err error) {
			found, err = p.lease.LeaseTimeToLive(ctx, &pb.LeaseTimeToLiveRequest{ID: id, Keys: true})
			return err
		})
		if err == nil && len(found.Keys) == 0 && found.GrantedTTL > 0 {
			err = p.revoke(ctx, id)
		}
		if err != nil && !errors.Is(err, rpctypes.ErrGRPCLeaseNotFound) { // else it has ended
			return err
		}
	}
	return nil
}

func (p *provider) revoke(ctx context.Context, id int64) error {
	return p.calls.Read(ctx, func(ctx context.Context) error {
		_, err := p.lease.LeaseRevoke(ctx, &pb.LeaseRevokeRequest{ID: id})
		return err
	})
}

// unusedLease is a lease that is not wanted any more.
type unusedLease struct {
	id       int64
	replaced bool // a key that had it was overwritten or deleted; other keys may have it
}

// revokeReplaced queues the leases of the keys that a request has overwritten or deleted:
// each would stay until its time to live ends, and they would grow with the rate of
// writes. Only leases of this store are queued.
func (s *store) revokeReplaced(resp *pb.TxnResponse) {
	for _, r := range resp.GetResponses() {
		s.revokeLeaseOf(r.GetResponsePut().GetPrevKv())
		for _, kv := range r.GetResponseDeleteRange().GetPrevKvs() {
			s.revokeLeaseOf(kv)
		}
	}
}

func (s *store) revokeLeaseOf(kv *mvccpb.KeyValue) {
	if lease := kv.GetLease(); lease != 0 && uint32(lease>>32) == s.leaseTag {
		s.p.queueRevocation(unusedLease{id: lease, replaced: true})
	}
}

// revokeLater queues the revocation of a lease that is not wanted any more: a write of
// its key that is still on its way is refused then. If the lease cannot be revoked, it
// ends by itself.
func (p *provider) revokeLater(id int64) { p.queueRevocation(unusedLease{id: id}) }

func (p *provider) queueRevocation(l unusedLease) {
	select {
	case p.unused <- l:
	default:
	}
}

// revokers is how many leases are revoked at a time.
const revokers = 4

// revokeQueuedLeases revokes the leases that are not wanted any more until the provider
// is closed.
func (p *provider) revokeQueuedLeases() {
	for {
		select {
		case <-p.life.Done():
			return
		case l := <-p.unused:
			patience := providers.Patience{Limit: p.config.rpcLease}
			_, _ = providers.Retry(p.life.Context(), p.life, patience, func(ctx context.Context) (_ struct{}, done bool, err error) {
				if l.replaced { // keys that were written together share a lease
					return struct{}{}, true, p.revokeKeyless(ctx, []int64{l.id})
				}
				return struct{}{}, true, p.revoke(ctx, l.id)
			})
		}
	}
}

// removeExpired deletes a key whose time to live has ended, unless another
// program has written it meanwhile.
func (s *store) removeExpired(ctx context.Context, kv *mvccpb.KeyValue) error {
	_, err := s.p.commitTxn(ctx, &pb.TxnRequest{
		Compare: []*pb.Compare{isAt(kv.Key, kv.ModRevision)},
		Success: []*pb.RequestOp{deleteOp(&pb.DeleteRangeRequest{Key: kv.Key})},
	})
	if fairlead.CodeOf(err) == fairlead.UnknownOutcome {
		return fairlead.Errorf(fairlead.Unavailable, "removing a key whose time to live has ended: %w", err)
	}
	return err
}

// removeExpiredOf removes the keys in kvs whose time to live has ended, and reports
// whether there were any.
func (s *store) removeExpiredOf(ctx context.Context, kvs []*mvccpb.KeyValue) (any bool, err error) {
	for _, kv := range kvs {
		if _, deadline := decodeValue(kv); s.p.isExpired(deadline, time.Now()) {
			any = true
			if err := s.removeExpired(ctx, kv); err != nil {
				return any, err
			}
		}
	}
	return any, nil
}
