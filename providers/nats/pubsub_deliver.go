package nats

import (
	"context"
	"errors"
	"log/slog"
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
	keys := map[string][]int{}
	metas := make([]*natsgo.MsgMetadata, len(msgs))
	for i, m := range msgs {
		meta, err := m.Metadata()
		if err != nil { // nobody but the server writes to the inbox: there is nothing to give back
			s.p.logger.Warn("nats: a message of the server cannot be read", slog.String("stream", s.stream), slog.Any("error", err))
			continue
		}
		metas[i] = meta
		if hash, ok := state.keyHashOf(m.Subject); ok {
			keys[hash] = append(keys[hash], i)
			continue
		}
		d := s.delivery(m.Header, m.Data, meta.Sequence.Stream, meta.Timestamp)
		d.Attempt, d.Token = int(meta.NumDelivered), s.leases.add(lease{reply: m.Reply, ends: time.Now().Add(s.lease)})
		found[i] = &d
	}
	var err error
	if len(keys) > 0 {
		err = s.deliverKeyed(ctx, keys, msgs, metas, found)
	}
	out := make([]driver.Delivery, 0, len(msgs))
	for _, d := range found {
		if d != nil {
			out = append(out, *d)
		}
	}
	return out, err
}

// deliverKeyed adds the deliveries of keys, each at the place of the message
// that brought it.
func (s *subscription) deliverKeyed(ctx context.Context, keys map[string][]int, msgs []*natsgo.Msg, metas []*natsgo.MsgMetadata, found []*driver.Delivery) error {
	caller := ctx
	ctx, cancel := s.p.bound(context.WithoutCancel(ctx), s.life)
	defer cancel()
	defer context.AfterFunc(caller, func() {
		if providers.Pause(ctx, deliverGrace) {
			cancel()
		}
	})()
	var group sync.WaitGroup
	var mu sync.Mutex
	var failed error
	free := make(chan struct{}, keysAtOnce)
	for hash, at := range keys {
		free <- struct{}{}
		group.Go(func() {
			defer func() { <-free }()
			all := make([]arrived, len(at))
			for n, i := range at {
				all[n] = arrived{msgs[i], metas[i].Sequence.Stream}
			}
			t, reply, err := s.takeKeyed(ctx, hash, all)
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
	if failed != nil {
		return fairlead.Errorf(fairlead.CodeOf(failed), "the record of an ordering key: %w", failed)
	}
	return nil
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
