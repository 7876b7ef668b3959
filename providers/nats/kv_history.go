package nats

import (
	"context"
	"encoding/json"
	"strings"
	"time"

	natsgo "github.com/nats-io/nats.go"

	"fairlead.dev"
)

// A deleted or expired key leaves a marker in the stream, which the server drops
// after the store's history. A watch after a position in the stream misses nothing
// as long as all markers after that position are there. So the time of the
// position must be known, or an earlier time. The message at the position has it,
// if it was not overwritten. Otherwise a record has it, the ticks, which is written
// from time to time while the store is written to.

const (
	ticksKept     = 32
	ticksADay     = 16 // ticks in the time of one history
	historyMargin = 2 * time.Second
)

// tick is a sequence that the stream had reached at a time, by the server's
// clock.
type tick struct {
	Seq  uint64    `json:"s"`
	Time time.Time `json:"t"`
}

// tickStores records the time in the stores that were written to.
func (p *provider) tickStores() {
	ctx, cancel := context.WithTimeout(p.life.Context(), probeTimeout)
	defer cancel()
	for _, h := range p.handles.All() {
		if s, ok := h.(*store); ok && s.wrote.Load() {
			s.tick(ctx)
		}
	}
}

// tick appends to the record if the last entry is old enough. A failure does no
// harm: the next tick follows.
func (s *store) tick(ctx context.Context) {
	info, err := s.p.streamInfo(ctx, s.stream)
	if err != nil || info.epoch() != s.epoch || info.Now.Sub(s.created) < s.history/ticksADay {
		return
	}
	ticks, m, err := s.readTicks(ctx)
	if err != nil || len(ticks) > 0 && info.Now.Sub(ticks[len(ticks)-1].Time) < s.history/ticksADay {
		return
	}
	body, err := json.Marshal(ticks[max(0, len(ticks)-ticksKept+1):])
	if err != nil {
		return
	}
	record := &natsgo.Msg{Subject: s.ticks, Data: body}
	expect(record, seqOf(m)) // if several providers tick at once, only one of them writes
	if _, _, err := s.p.requestUntilTaken(ctx, record); err == nil {
		s.wrote.Store(false)
	}
}

// readTicks returns the record, its own message as the last entry.
func (s *store) readTicks(ctx context.Context) (ticks []tick, m *message, err error) {
	m, err = s.readMessage(ctx, &natsgo.Msg{Subject: apiPrefix + "STREAM.MSG.GET." + s.stream, Data: []byte(`{"last_by_subj":"` + s.ticks + `"}`)})
	if err != nil || m == nil {
		return nil, nil, err
	}
	if err := json.Unmarshal(m.Data, &ticks); err != nil {
		return nil, nil, fairlead.Errorf(fairlead.Internal, "the record of times of the store cannot be read: %w", err)
	}
	return append(ticks, tick{m.Seq, m.Time}), m, nil
}

// checkHistory fails with Compacted unless the stream holds the last state of
// every key that changed after seq.
func (s *store) checkHistory(ctx context.Context, seq uint64) error {
	info, err := s.p.streamInfo(ctx, s.stream)
	switch {
	case isAPI(err, codeStreamNotFound):
		return s.errCompacted("the store was deleted")
	case err != nil:
		return err
	case info.epoch() != s.epoch:
		return s.errCompacted("the store was deleted, and created again")
	case seq > info.State.Last:
		return s.errCompacted("the revision was lost with the server's data, or never existed")
	case seq == info.State.Last:
		return nil
	}
	present := func(t time.Time) bool { return info.Now.Sub(t) < s.history-historyMargin }
	if present(s.created) {
		return nil
	}
	m, err := s.readSequence(ctx, seq)
	if err != nil || m != nil && present(m.Time) {
		return err
	}
	ticks, _, err := s.readTicks(ctx)
	if err != nil {
		return err
	}
	for _, t := range ticks {
		if t.Seq <= seq && present(t.Time) {
			return nil
		}
	}
	return s.errCompacted("the store remembers what was deleted for " + strings.TrimSuffix(s.history.String(), "0s") + " (the parameter \"watch-history\" of who created it)")
}

func (s *store) errCompacted(why string) error {
	return fairlead.Errorf(fairlead.Compacted, "the history that the watch needs is gone: %s", why)
}
