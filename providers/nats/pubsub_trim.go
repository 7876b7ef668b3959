package nats

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	natsgo "github.com/nats-io/nats.go"
)

// trimEvery is how often the provider looks in the open topics for messages that
// need not be kept.
const trimEvery = 10 * time.Second

// trimTopics drops messages that are older than the retention and acknowledged
// by all groups. After a failure the next call tries again.
func (p *provider) trimTopics() {
	ctx, cancel := context.WithTimeout(p.life.Context(), probeTimeout)
	defer cancel()
	done := map[string]bool{}
	for _, h := range p.handles.All() {
		t, ok := h.(interface{ opened() *topic })
		if !ok || done[t.opened().stream] {
			continue
		}
		done[t.opened().stream] = true
		if err := t.opened().trim(ctx); err != nil {
			p.logger.Debug("nats: trimming a topic failed", slog.String("stream", t.opened().stream), slog.Any("error", err))
		}
	}
}

// sweepRecords drops the records of ordering keys that are not needed any more.
func (p *provider) sweepRecords() {
	ctx, cancel := context.WithTimeout(p.life.Context(), probeTimeout)
	defer cancel()
	for _, h := range p.handles.All() {
		if s, ok := h.(*subscription); ok {
			if err := s.sweepRecords(ctx); err != nil {
				p.logger.Debug("nats: dropping records of ordering keys failed", slog.String("stream", s.stream), slog.Any("error", err))
			}
		}
	}
}

func (t *topic) opened() *topic { return t }

func (t *topic) trim(ctx context.Context) error {
	p, epoch := t.p, t.current.Load().epoch
	info, err := p.streamInfo(ctx, t.stream)
	if err != nil || info.epoch() != epoch || info.State.Messages == 0 {
		return err
	}
	old := func(seq uint64) (bool, error) {
		m, err := p.readFrom(ctx, t.stream, seq, ">")
		return m != nil && info.Now.Sub(m.Time) > p.config.retention, err
	}
	if is, err := old(info.State.First); !is || err != nil {
		return err
	}
	acked, err := p.ackedByAll(ctx, t.stream, info.State.Last)
	if err != nil {
		return err
	}
	// The first one that is not old, or not acknowledged, is between the two.
	low, high := info.State.First, acked+1
	for low < high {
		middle := low + (high-low)/2
		is, err := old(middle)
		if err != nil {
			return err
		}
		if is {
			low = middle + 1
		} else {
			high = middle
		}
	}
	if low <= info.State.First {
		return nil
	}
	return p.callAPI(ctx, "STREAM.PURGE."+t.stream, map[string]uint64{"seq": low}, nil, true)
}

// readFrom returns the first message at or after a sequence whose subject
// matches the filter, and nil if there is none.
func (p *provider) readFrom(ctx context.Context, stream string, seq uint64, filter string) (*message, error) {
	body := fmt.Appendf(nil, `{"seq":%d,"next_by_subj":%q}`, seq, filter)
	reply, _, err := p.requestUntilTaken(ctx, &natsgo.Msg{Subject: apiPrefix + "STREAM.MSG.GET." + stream, Data: body})
	return parseGet(answer{msg: reply, err: err})
}

// ackedByAll is the sequence up to which all groups and broadcasts have
// acknowledged everything.
func (p *provider) ackedByAll(ctx context.Context, stream string, last uint64) (uint64, error) {
	for seen := 0; ; {
		var page struct {
			Total     int            `json:"total"`
			Consumers []consumerInfo `json:"consumers"`
			Missing   []string       `json:"missing"`
		}
		if err := p.callAPI(ctx, "CONSUMER.LIST."+stream, map[string]int{"offset": seen}, &page, false); err != nil {
			return 0, err
		}
		if len(page.Missing) > 0 {
			return 0, nil // the state of some is not known now
		}
		for _, c := range page.Consumers {
			last = min(last, c.Acked.Stream)
		}
		if seen += len(page.Consumers); seen >= page.Total || len(page.Consumers) == 0 {
			return last, nil
		}
	}
}
