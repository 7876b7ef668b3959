package etcd

import (
	"context"
	"strconv"
	"time"

	"go.etcd.io/etcd/api/v3/mvccpb"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"

	"fairlead.dev"
	"fairlead.dev/pubsub/driver"
)

// handout is one attempt to hand out messages.
type handout struct {
	s       *subscription
	now     time.Time
	limit   int
	out     []driver.Delivery
	leases  []uint64
	changed bool
	gap     error
}

func (h *handout) fill(ctx context.Context, v view, st *groupState) error {
	due := st.dueIndexes(&h.s.c, h.now, h.limit)
	found, err := h.s.readMessages(ctx, *st, due)
	if err != nil {
		return err
	}
	for n := len(due) - 1; n >= 0; n-- { // lost messages are removed, the last one first
		if found[n] == nil {
			h.noteLoss(st.Pending[due[n]].Number, st.Pending[due[n]].Number)
			st.removePending(due[n], h.now)
		}
	}
	if h.gap != nil {
		return nil
	}
	for n, i := range due {
		if err := h.addDelivery(st, i, found[n]); err != nil {
			return err
		}
	}
	return h.addNew(v, st)
}

// noteLoss notes that messages that the group should have received are gone.
func (h *handout) noteLoss(first, last uint64) {
	h.changed = true
	h.gap = fairlead.Errorf(fairlead.Compacted, "the messages %d to %d are gone", first, last)
}

// addNew hands out new messages.
func (h *handout) addNew(v view, st *groupState) error {
	for _, kv := range v.messages {
		number := h.s.keys.number(kv.Key)
		if len(h.out) == h.limit || st.countWaiting() >= maxWaiting {
			return nil
		}
		if number != st.Next {
			if len(h.out) > 0 {
				return nil // the gap is reported by the next call
			}
			h.noteLoss(st.Next, number-1)
			st.Next = number
			return nil
		}
		d, err := decodeMessage(kv.Value)
		if err != nil {
			return err
		}
		h.changed = true
		if i, ok := st.addNext(number, d.Key); ok {
			if err := h.addDelivery(st, i, kv); err != nil {
				return err
			}
		}
	}
	if newest := v.newest; len(v.messages) == 0 && newest+1 != st.Next && len(h.out) == 0 {
		h.noteLoss(min(st.Next, newest+1), max(st.Next, newest))
		st.Next = newest + 1
	}
	return nil
}

// addDelivery hands out a pending message.
func (h *handout) addDelivery(st *groupState, i int, kv *mvccpb.KeyValue) error {
	d, err := decodeMessage(kv.Value)
	if err != nil {
		return err
	}
	p := st.leaseTo(i, &h.s.c, h.now)
	d.Position = strconv.FormatUint(p.Number, 10)
	if d.ID == "" {
		d.ID = d.Position
	}
	d.Token, d.Attempt = h.s.c.token(p.Lease), p.Attempt
	h.out, h.leases, h.changed = append(h.out, d), append(h.leases, p.Lease), true
	return nil
}

// readMessages reads pending messages. A message that is gone is nil.
func (s *subscription) readMessages(ctx context.Context, st groupState, indexes []int) ([]*mvccpb.KeyValue, error) {
	if len(indexes) == 0 {
		return nil, nil
	}
	r := &pb.TxnRequest{}
	for _, i := range indexes {
		r.Success = append(r.Success, rangeOp(&pb.RangeRequest{Key: s.keys.message(st.Pending[i].Number)}))
	}
	resp, err := s.p.readTxn(ctx, r)
	if err != nil {
		return nil, err
	}
	found := make([]*mvccpb.KeyValue, len(indexes))
	for n := range indexes {
		for _, kv := range resp.Responses[n].GetResponseRange().GetKvs() {
			found[n] = kv
		}
	}
	return found, nil
}
