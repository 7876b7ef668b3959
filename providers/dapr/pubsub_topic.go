package dapr

import (
	"context"
	"encoding/json"
	"errors"
	"strconv"
	"sync"
	"time"

	runtimev1 "github.com/dapr/dapr/pkg/proto/runtime/v1"

	"fairlead.dev"
	"fairlead.dev/pubsub/driver"
)

// topic is a handle for publishing.
type topic struct {
	p    *provider
	name string
}

// OpenTopic implements the pubsub driver's Provider. A topic exists when a
// message was published to it.
func (p *provider) OpenTopic(_ context.Context, c driver.TopicConfig) (driver.Topic, error) {
	if err := p.life.Err(); err != nil {
		return nil, err
	}
	return &topic{p, c.Name}, nil
}

// Close implements [driver.Topic].
func (t *topic) Close(context.Context) error { return nil }

// encodedEvent is an event that is ready to be sent.
type encodedEvent struct {
	index int // in the messages of Send
	data  []byte
}

// Send implements [driver.Topic].
func (t *topic) Send(ctx context.Context, msgs []driver.Message) []driver.SendResult {
	results := make([]driver.SendResult, len(msgs))
	now := time.Now()
	entries := make([]encodedEvent, 0, len(msgs))
	for i, m := range msgs {
		if err := checkDeadline(ctx, m.Deadline, now); err != nil {
			results[i].Err = err
			continue
		}
		e, id := newEnvelope(m, now)
		data, err := json.Marshal(e)
		if err != nil {
			results[i].Err = fairlead.Errorf(fairlead.Internal, "encoding the event: %w", err)
			continue
		}
		results[i].ID = id
		entries = append(entries, encodedEvent{i, data})
	}
	t.publishAll(ctx, entries, results)
	return results
}

// checkDeadline returns an error if it is too late to send a message.
func checkDeadline(ctx context.Context, deadline, now time.Time) error {
	switch {
	case ctx.Err() != nil:
		return fairlead.ContextError(ctx)
	case !deadline.IsZero() && !now.Before(deadline):
		return fairlead.Errorf(fairlead.DeadlineExceeded, "%w", context.DeadlineExceeded)
	}
	return nil
}

// publishAll sends events in as few requests as possible, concurrently.
func (t *topic) publishAll(ctx context.Context, entries []encodedEvent, results []driver.SendResult) {
	var calls sync.WaitGroup
	for _, part := range t.p.splitByRequestSize(entries) {
		calls.Go(func() {
			err := t.p.publish(ctx, t.p.pubsubComponent(), t.name, part)
			for _, e := range part {
				if err != nil {
					results[e.index] = driver.SendResult{Err: err}
				}
			}
		})
	}
	calls.Wait()
}

// entryOverhead bounds the size of an event in a request beside its data.
const entryOverhead = 128

// splitByRequestSize divides events so that each part fits into one request.
func (p *provider) splitByRequestSize(entries []encodedEvent) (parts [][]encodedEvent) {
	limit := p.config.maxBody - 4096
	begin, size := 0, 0
	for i, e := range entries {
		n := len(e.data) + entryOverhead
		if i > begin && size+n > limit {
			parts = append(parts, entries[begin:i])
			begin, size = i, 0
		}
		size += n
	}
	if begin < len(entries) {
		parts = append(parts, entries[begin:])
	}
	return parts
}

// publish sends events to a topic in one request. If the runtime stored only
// some of them, it does not report which.
func (p *provider) publish(ctx context.Context, component, topic string, entries []encodedEvent) error {
	return p.calls.Write(ctx, func(ctx context.Context) error {
		if len(entries) == 1 {
			_, err := p.client.PublishEvent(ctx, &runtimev1.PublishEventRequest{
				PubsubName: component, Topic: topic, Data: entries[0].data, DataContentType: eventContentType,
			})
			return err
		}
		answer, err := p.client.BulkPublishEvent(ctx, bulkRequest(component, topic, entries))
		if failed := answer.GetFailedEntries(); err == nil && len(failed) > 0 {
			err = bulkError(failed, len(entries))
		}
		return err
	})
}

// bulkError returns the error of a request for total messages of which some have
// failed.
func bulkError(failed []*runtimev1.BulkPublishResponseFailedEntry, total int) error {
	refused := 0
	for _, f := range failed {
		if saysFull(f.GetError()) {
			refused++
		}
	}
	if refused == total {
		return convertError(errors.New(failed[0].GetError()), true)
	}
	return fairlead.Errorf(fairlead.UnknownOutcome, "%d of %d messages failed; the first error: %s", len(failed), total, failed[0].GetError())
}

func bulkRequest(component, topic string, entries []encodedEvent) *runtimev1.BulkPublishRequest {
	r := &runtimev1.BulkPublishRequest{PubsubName: component, Topic: topic}
	for i, e := range entries {
		r.Entries = append(r.Entries, &runtimev1.BulkPublishRequestEntry{
			EntryId: strconv.Itoa(i), Event: e.data, ContentType: eventContentType,
		})
	}
	return r
}
