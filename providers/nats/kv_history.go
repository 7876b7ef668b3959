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
// if it was not overwritten. Otherwise a record has it, the checkpoints, which is written
// from time to time while the store is written to.

const (
	checkpointsKept      = 32
	checkpointsInHistory = 16 // checkpoints in the time of one history
	historyMargin        = 2 * time.Second
)

// checkpoint is a sequence that the stream had reached at a time, by the server's
// clock.
type checkpoint struct {
	Seq  uint64    `json:"s"`
	Time time.Time `json:"t"`
}

// writeCheckpoints records the time in the stores that were written to.
func (p *provider) writeCheckpoints() {
	ctx, cancel := context.WithTimeout(p.life.Context(), probeTimeout)
	defer cancel()
	for _, h := range p.handles.All() {
		opened, ok := h.(*storeHandle)
		if !ok {
			continue
		}
		s := opened.store()
		s.writeMarkers(ctx)
		if s.wrote.Load() {
			s.writeCheckpoint(ctx)
		}
	}
}

// checkpoint appends to the record if the last entry is old enough. A failure does no
// harm: the next checkpoint follows.
func (s *store) writeCheckpoint(ctx context.Context) {
	info, err := s.p.streamInfo(ctx, s.stream)
	if err != nil || info.epoch() != s.epoch || info.Now.Sub(s.created) < s.history/checkpointsInHistory {
		return
	}
	checkpoints, m, err := s.readCheckpoints(ctx)
	if err != nil || len(checkpoints) > 0 && info.Now.Sub(checkpoints[len(checkpoints)-1].Time) < s.history/checkpointsInHistory {
		return
	}
	body, err := json.Marshal(checkpoints[max(0, len(checkpoints)-checkpointsKept+1):])
	if err != nil {
		return
	}
	record := &natsgo.Msg{Subject: s.checkpoints, Data: body}
	expect(record, seqOf(m)) // if several providers checkpoint at once, only one of them writes
	if _, _, err := s.p.requestUntilTaken(ctx, record); err == nil {
		s.wrote.Store(false)
	}
}

// readCheckpoints returns the record, its own message as the last entry.
func (s *store) readCheckpoints(ctx context.Context) (checkpoints []checkpoint, m *message, err error) {
	m, err = s.readMessage(ctx, &natsgo.Msg{Subject: apiPrefix + "STREAM.MSG.GET." + s.stream, Data: []byte(`{"last_by_subj":"` + s.checkpoints + `"}`)})
	if err != nil || m == nil {
		return nil, nil, err
	}
	if err := json.Unmarshal(m.Data, &checkpoints); err != nil {
		return nil, nil, fairlead.Errorf(fairlead.Internal, "the record of times of the store cannot be read: %w", err)
	}
	return append(checkpoints, checkpoint{m.Seq, m.Time}), m, nil
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
	checkpoints, _, err := s.readCheckpoints(ctx)
	if err != nil {
		return err
	}
	for _, t := range checkpoints {
		if t.Seq <= seq && present(t.Time) {
			return nil
		}
	}
	return s.errCompacted("the store remembers what was deleted for " + strings.TrimSuffix(s.history.String(), "0s") + " (the setting \"watch-history\" of the program that created it)")
}

// checkHistoryAndRemovals is checkHistory for a watcher that was not connected: it
// may have missed that keys were deleted without a marker, too.
func (s *store) checkHistoryAndRemovals(ctx context.Context, seq uint64) error {
	info, err := s.p.streamInfo(ctx, s.stream)
	if err == nil && info.epoch() == s.epoch && info.mayHideRemovals(seq) {
		return s.errCompacted("keys were deleted while the server was too full to note it")
	}
	return s.checkHistory(ctx, seq) // which says what is wrong with the stream
}

func (s *store) errCompacted(why string) error {
	return fairlead.Errorf(fairlead.Compacted, "the history that the watch needs is gone: %s", why)
}
