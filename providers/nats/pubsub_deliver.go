package nats

import (
	"context"
	"errors"
	"sync"
	"time"

	natsgo "github.com/nats-io/nats.go"

	"fairlead.dev"
	"fairlead.dev/providers"
	"fairlead.dev/pubsub/driver"
)

// deliver makes deliveries of the messages that the server handed out. A message
// with an ordering key is delivered only if it is the next one of its key. deliver
// continues for a moment after ctx ends, since a turn that was taken counts as an
// attempt.
func (s *subscription) deliver(ctx context.Context, msgs []*natsgo.Msg) ([]driver.Delivery, error) {
	found := make([]*driver.Delivery, len(msgs))
	state := s.current.Load()
	lanes := map[string][]int{}
	metas := make([]*natsgo.MsgMetadata, len(msgs))
	for i, m := range msgs {
		meta, err := m.Metadata()
		if err != nil {
			return nil, fairlead.Errorf(fairlead.Internal, "a message of the server cannot be read: %w", err)
		}
		metas[i] = meta
		if lane, ok := state.laneOf(m.Subject); ok {
			lanes[lane] = append(lanes[lane], i)
			continue
		}
		d := s.delivery(m.Header, m.Data, meta.Sequence.Stream, meta.Timestamp)
		d.Attempt, d.Token = int(meta.NumDelivered), s.leases.add(lease{reply: m.Reply, ends: time.Now().Add(s.lease)})
		found[i] = &d
	}
	var err error
	if len(lanes) > 0 {
		err = s.deliverLanes(ctx, lanes, msgs, metas, found)
	}
	out := make([]driver.Delivery, 0, len(msgs))
	for _, d := range found {
		if d != nil {
			out = append(out, *d)
		}
	}
	return out, err
}

// deliverLanes adds the deliveries of lanes, each at the place of the message
// that brought it.
func (s *subscription) deliverLanes(ctx context.Context, lanes map[string][]int, msgs []*natsgo.Msg, metas []*natsgo.MsgMetadata, found []*driver.Delivery) error {
	caller := ctx
	ctx, cancel := s.life.Bound(context.WithoutCancel(ctx), s.p.config.requestTimeout)
	defer cancel()
	defer context.AfterFunc(caller, func() {
		if providers.Pause(ctx, deliverGrace) {
			cancel()
		}
	})()
	var group sync.WaitGroup
	var mu sync.Mutex
	var failed error
	free := make(chan struct{}, lanesAtOnce)
	for lane, at := range lanes {
		free <- struct{}{}
		group.Go(func() {
			defer func() { <-free }()
			all := make([]arrived, len(at))
			for n, i := range at {
				all[n] = arrived{msgs[i], metas[i].Sequence.Stream}
			}
			t, reply, err := s.passLane(ctx, lane, all)
			if t != nil {
				d := s.delivery(t.head.header, t.head.Data, t.head.Seq, t.head.Time)
				d.Attempt, d.Token = t.record.Attempt, s.leases.add(lease{reply: reply, turn: t, ends: time.Now().Add(s.lease)})
				found[at[0]] = &d
			}
			if err != nil {
				mu.Lock()
				failed = errors.Join(failed, err)
				mu.Unlock()
			}
		})
	}
	group.Wait()
	return laneError(failed)
}

// laneError returns the error of a Receive that could not read the record of a
// lane. The messages that it did not get come again.
func laneError(err error) error {
	switch fairlead.CodeOf(err) {
	case fairlead.UnknownOutcome, fairlead.DeadlineExceeded, fairlead.Canceled:
		return fairlead.Errorf(fairlead.Unavailable, "the record of an ordering key: %w", err)
	}
	return err
}

// delivery returns a message of the stream as a delivery, without the fields
// that differ between deliveries.
func (s *subscription) delivery(header natsgo.Header, data []byte, seq uint64, at time.Time) driver.Delivery {
	d, err := decode(&natsgo.Msg{Header: header, Data: data})
	if err != nil {
		d = driver.Delivery{Body: data} // another program's: its body as it is
	}
	d.Time, d.Position = at, s.current.Load().position(seq)
	if d.ID == "" {
		d.ID = d.Position
	}
	return d
}
