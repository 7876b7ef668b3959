package dapr

import (
	"context"
	"log/slog"
	"time"
)

// How long an acknowledged event is remembered, as a multiple of the processing
// timeout: an event that was answered, and an event that can be answered only when
// it is delivered again.
const (
	answeredMemory = 2
	settledMemory  = 20
)

// renewAll renews old events until the consumer closes.
//
// When an event gets no answer for the component's processingTimeout, the
// runtime delivers it again and continues to wait for the first answer, too:
// each time, this blocks one of its workers. So before that time an event is
// copied to the redelivery topic and acknowledged. The copy arrives by the other
// stream and takes the place of the event that a handle still holds.
func (g *groupConsumer) renewAll() {
	after := g.p.config.processingTimeout / 2
	ticker := time.NewTicker(max(after/8, 10*time.Millisecond))
	defer ticker.Stop()
	for {
		select {
		case <-g.streams[1].open.Done():
			return
		case now := <-ticker.C:
			if due := g.takeRenewable(now, after); len(due) > 0 {
				g.renew(due)
			}
		}
	}
}

// takeRenewable returns the events that arrived longer ago than after and have
// no answer. It removes settled events that need not be remembered any more.
func (g *groupConsumer) takeRenewable(now time.Time, after time.Duration) (due []*pendingEvent) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for uid, e := range g.pending {
		age := now.Sub(e.arrived)
		switch {
		case e.settled && g.isForgotten(e, age):
			delete(g.pending, uid)
		case !e.settled && !e.renewing && e.stream != nil && age >= after:
			e.renewing = true
			due = append(due, e)
		}
	}
	return due
}

// isForgotten reports whether a settled event was remembered for long enough.
func (g *groupConsumer) isForgotten(e *pendingEvent, age time.Duration) bool {
	if e.answered {
		return age > answeredMemory*g.p.config.processingTimeout
	}
	return !e.renewing && age > settledMemory*g.p.config.processingTimeout
}

// original says how to answer an event as it was before its renewal.
type original struct {
	e      *pendingEvent
	stream *eventStream
	id     string
}

// renew copies events to the redelivery topic and acknowledges the originals.
func (g *groupConsumer) renew(due []*pendingEvent) {
	var entries []encodedEvent
	var originals []original
	g.mu.Lock()
	for _, e := range due {
		if e.settled || e.stream == nil { // it was settled, or its stream has ended, meanwhile
			e.renewing = false
			continue
		}
		data, err := e.encodeCopy()
		if err != nil {
			e.renewing = false
			g.p.logger.Error("dapr: an event cannot be copied", slog.String("topic", g.topic), slog.Any("error", err))
			continue
		}
		entries = append(entries, encodedEvent{data: data})
		originals = append(originals, original{e, e.stream, e.id})
	}
	g.mu.Unlock()
	for _, part := range g.p.splitByRequestSize(entries) {
		// A renewal that has begun is finished: a provider that closes waits for it.
		err := g.p.publish(context.WithoutCancel(g.life), g.component, g.redeliveryTopic(), part)
		g.finishRenewals(originals[:len(part)], err)
		originals = originals[len(part):]
	}
}

// finishRenewals answers the originals whose copies were stored. Without a copy
// the original stays pending, unless it was settled meanwhile.
func (g *groupConsumer) finishRenewals(originals []original, err error) {
	if err != nil {
		g.p.logger.Warn("dapr: pending events cannot be renewed; the sidecar may deliver them twice", slog.String("topic", g.topic), slog.Any("error", err))
	}
	for _, o := range originals {
		if !g.keepOriginal(o, err) {
			o.stream.answer(o.id)
		}
	}
}

// keepOriginal ends the renewal of one event. It reports whether the original
// stays pending.
func (g *groupConsumer) keepOriginal(o original, err error) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	o.e.renewing = false
	switch {
	case o.e.settled:
		return false
	case err == nil && o.e.stream == o.stream: // otherwise the copy has arrived already
		o.e.stream = nil
	case err != nil:
		o.e.arrived = time.Now().Add(-g.p.config.processingTimeout / 4) // try again soon, but not at once
		return true
	}
	return false
}
