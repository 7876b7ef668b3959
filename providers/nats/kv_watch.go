package nats

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"time"

	natsgo "github.com/nats-io/nats.go"

	"fairlead.dev"
	"fairlead.dev/kv/driver"
	"fairlead.dev/providers"
)

// watcher reads the stream after a position with a consumer that the server may
// forget at any time: the watcher then creates another one, which begins after the
// last message that was read.
type watcher struct {
	s      *store
	prefix string
	pos    uint64 // of the last message that was read

	reader *reader
	fresh  time.Time // all messages up to then were read, or are still there

	connection int // of p.reconnected: no removal was missed since

	life *providers.Lifetime
}

// Watch implements the kv driver's Store.
func (s *store) Watch(ctx context.Context, r driver.WatchRequest) (driver.Watcher, error) {
	if err := s.life.Check(ctx); err != nil {
		return nil, err
	}
	w := &watcher{s: s, prefix: r.Prefix, fresh: time.Now(), life: s.life.Child("watcher")}
	w.connection, _ = s.p.reconnected.current()
	w.reader = newReader(s.p, w.life, s.stream, s.keys+prefixFilter(r.Prefix))
	removals, sub, err := s.subscribeRemovals(r.Prefix) // before the start is looked for, so that no removal is missed
	if err != nil {
		w.life.End()
		return nil, err
	}
	w.reader.removals = removals
	context.AfterFunc(w.life.Context(), func() {
		w.reader.close()
		_ = sub.Unsubscribe() // it may have ended with the connection
	})
	if err := w.setStart(ctx, r.After); err != nil {
		w.life.End()
		return nil, err
	}
	return w, nil
}

// setStart finds where the watch begins.
func (w *watcher) setStart(ctx context.Context, after driver.Revision) error {
	if after == "" {
		info, err := w.s.p.streamInfo(ctx, w.s.stream)
		if err == nil && info.epoch() != w.s.epoch {
			err = w.s.errDeleted()
		}
		w.pos = info.State.Last
		return err
	}
	r, ours, err := w.s.parseRevision(after)
	if err != nil {
		return err
	}
	if !ours {
		return w.s.errCompacted("the revision is of a store that was deleted, or of another one")
	}
	w.pos = r.seq
	return w.s.checkHistoryAndRemovals(ctx, r.seq)
}

// Close implements the kv driver's Watcher.
func (w *watcher) Close(context.Context) error {
	w.life.End()
	return nil
}

// Next implements the kv driver's Watcher.
func (w *watcher) Next(ctx context.Context) ([]driver.Event, error) {
	events, err := providers.Retry(ctx, w.life, providers.Patience{}, w.step)
	if fairlead.CodeOf(err) == fairlead.Compacted {
		w.life.Fail(err)
	}
	return events, err
}

// step waits for messages, and returns their events for this watcher; there may
// be none.
func (w *watcher) step(ctx context.Context) (events []driver.Event, found bool, err error) {
	if events, err = w.readEvents(ctx); err != nil {
		w.reader.restart() // the events that it has read are not delivered
	}
	return events, len(events) > 0, err
}

// readEvents returns the events of the next messages.
func (w *watcher) readEvents(ctx context.Context) ([]driver.Event, error) {
	msgs, err := w.reader.read(ctx, w.pos)
	if err != nil {
		if errors.Is(err, errNewConsumer) {
			return nil, w.checkConnected(ctx)
		}
		return nil, err
	}
	var events []driver.Event
	for _, m := range msgs {
		e, ok, err := w.decodeEvent(m)
		if err != nil {
			return nil, err
		}
		if ok {
			events = append(events, e)
		}
	}
	removed, err := w.removalEvents(ctx, w.reader.removed)
	if err != nil {
		return nil, err
	}
	w.reader.removed = nil
	events = append(events, removed...)
	if err := w.checkFresh(ctx); err != nil {
		return nil, err
	}
	if n := len(msgs); n > 0 {
		w.pos = msgs[n-1].seq
		if msgs[n-1].pending == 0 {
			w.fresh = time.Now()
		}
	}
	return events, nil
}

// checkConnected finds out whether anything was missed before the reader began
// again. Removals are missed only without a connection.
func (w *watcher) checkConnected(ctx context.Context) error {
	connection, _ := w.s.p.reconnected.current()
	check := w.s.checkHistory
	if connection != w.connection {
		check = w.s.checkHistoryAndRemovals
	}
	if err := check(ctx, w.pos); err != nil {
		return err
	}
	w.connection = connection
	return nil
}

// checkFresh finds out whether a watcher that was late for long missed markers.
func (w *watcher) checkFresh(ctx context.Context) error {
	if time.Since(w.fresh) < w.s.history/2 {
		return nil
	}
	if err := w.s.checkHistory(ctx, w.pos); err != nil {
		return err
	}
	w.fresh = time.Now()
	return nil
}

func (w *watcher) decodeEvent(d delivered) (e driver.Event, ok bool, err error) {
	m := message{Seq: d.seq, header: d.msg.Header}
	e.Key, err = subjectKey(strings.TrimPrefix(d.msg.Subject, w.s.keys))
	if err != nil {
		return e, false, fairlead.Errorf(fairlead.Internal, "%w", err)
	}
	e.Kind, e.Revision = m.state(), w.s.formatRevision(m.revision())
	if e.Kind == driver.PutEvent {
		e.Value = d.msg.Data
	}
	return e, strings.HasPrefix(e.Key, w.prefix), nil
}

// consumerConfig is what we set of the configuration of a consumer.
type consumerConfig struct {
	Name          string        `json:"name,omitempty"`
	Durable       string        `json:"durable_name,omitempty"`
	DeliverPolicy string        `json:"deliver_policy"`
	StartSeq      uint64        `json:"opt_start_seq,omitempty"`
	StartTime     *time.Time    `json:"opt_start_time,omitempty"`
	AckPolicy     string        `json:"ack_policy"`
	AckWait       time.Duration `json:"ack_wait,omitempty"`
	MaxDeliver    int           `json:"max_deliver,omitempty"`
	MaxAckPending int           `json:"max_ack_pending,omitempty"`
	MaxWaiting    int           `json:"max_waiting,omitempty"`
	Filter        string        `json:"filter_subject,omitempty"`
	Replay        string        `json:"replay_policy"`
	Inactive      time.Duration `json:"inactive_threshold,omitempty"`
	Replicas      int           `json:"num_replicas"`
	Memory        bool          `json:"mem_storage,omitempty"`

	Metadata map[string]string `json:"metadata,omitempty"`

	consumerSettings
}

// consumerSettings are settings of a consumer that we never set, and that take
// guarantees away.
type consumerSettings struct {
	Filters        []string        `json:"filter_subjects,omitempty"`
	HeadersOnly    bool            `json:"headers_only,omitempty"`
	BackOff        []time.Duration `json:"backoff,omitempty"`
	RateLimit      uint64          `json:"rate_limit_bps,omitempty"`
	Deliver        string          `json:"deliver_subject,omitempty"`
	PriorityGroups []string        `json:"priority_groups,omitempty"`
	MaxBatch       int             `json:"max_batch,omitempty"`
	MaxExpires     time.Duration   `json:"max_expires,omitempty"`
}

// pullRequest asks a consumer for messages.
type pullRequest struct {
	Batch     int           `json:"batch"`
	MaxBytes  int           `json:"max_bytes,omitempty"`
	Expires   time.Duration `json:"expires,omitempty"`
	NoWait    bool          `json:"no_wait,omitempty"`
	Heartbeat time.Duration `json:"idle_heartbeat,omitempty"`
}

func (p *provider) createConsumer(ctx context.Context, stream string, c consumerConfig) error {
	request := struct {
		Stream string         `json:"stream_name"`
		Config consumerConfig `json:"config"`
	}{stream, c}
	return p.callAPI(ctx, "CONSUMER.CREATE."+stream+"."+c.Name, request, nil, false)
}

// pull sends a request for messages, which will come to inbox.
func (p *provider) pull(stream, consumer, inbox string, r pullRequest) error {
	body, err := json.Marshal(r)
	if err != nil {
		return fairlead.Errorf(fairlead.Internal, "%w", err)
	}
	return mapErr(p.nc.PublishRequest(apiPrefix+"CONSUMER.MSG.NEXT."+stream+"."+consumer, inbox, body), false)
}

// subscribe returns a channel of the messages that come to a new inbox.
func (p *provider) subscribe(capacity int) (chan *natsgo.Msg, *natsgo.Subscription, error) {
	c := make(chan *natsgo.Msg, capacity)
	sub, err := p.nc.ChanSubscribe(p.nc.NewInbox(), c)
	return c, sub, mapErr(err, false)
}
