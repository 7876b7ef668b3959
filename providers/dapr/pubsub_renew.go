package dapr

import (
	"context"
	"log/slog"
	"time"
)

// For how many times the processing timeout an acknowledged event is remembered:
// one that was answered, and one that has to come again for that.
const (
	answeredMemory = 2
	settledMemory  = 20
)

// renewAll looks at what is in hand until the feed ends.
//
// The runtime delivers an event once more when it had no answer for the
// component's processingTimeout, and goes on to wait for the first answer, too:
// each round costs it a worker. So before that time an event is copied to the
// topic of what comes again and acknowledged: the copy comes by the other
// stream, and stands for the event that its consumer still has.
func (f *feed) renewAll() {
	after := f.p.config.processingTimeout / 2
	ticker := time.NewTicker(max(after/8, 10*time.Millisecond))
	defer ticker.Stop()
	for {
		select {
		case <-f.streams[1].open.Done():
			return
		case now := <-ticker.C:
			if due := f.due(now, after); len(due) > 0 {
				f.renew(due)
			}
		}
	}
}

// due returns the items that came longer ago than after and have no answer. It
// forgets settled ones.
func (f *feed) due(now time.Time, after time.Duration) (due []*item) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for uid, it := range f.items {
		age := now.Sub(it.came)
		switch {
		case it.settled && f.forgets(it, age):
			delete(f.items, uid)
		case !it.settled && !it.renewing && it.link != nil && age >= after:
			it.renewing = true
			due = append(due, it)
		}
	}
	return due
}

// forgets reports whether a settled item has been remembered for long enough.
func (f *feed) forgets(it *item, age time.Duration) bool {
	if it.answered {
		return age > answeredMemory*f.p.config.processingTimeout
	}
	return !it.renewing && age > settledMemory*f.p.config.processingTimeout
}

// original is how an item was to be answered before it was renewed.
type original struct {
	it   *item
	link *link
	id   string
}

func (f *feed) renew(due []*item) {
	var entries []entry
	var originals []original
	f.mu.Lock()
	for _, it := range due {
		if it.settled || it.link == nil { // by now
			it.renewing = false
			continue
		}
		data, err := it.arrival.copy()
		if err != nil {
			it.renewing = false
			f.p.logger.Error("dapr: an event cannot be copied", slog.String("topic", f.topic), slog.Any("error", err))
			continue
		}
		entries = append(entries, entry{data: data})
		originals = append(originals, original{it, it.link, it.id})
	}
	f.mu.Unlock()
	for _, part := range f.p.parts(entries) {
		// What was begun is finished: a provider that closes waits for it.
		err := f.p.publish(context.WithoutCancel(f.life), f.component, f.again(), part)
		f.renewed(originals[:len(part)], err)
		originals = originals[len(part):]
	}
}

// renewed answers the originals of copies that were stored. Without a copy, an
// original stands, unless it was acknowledged meanwhile.
func (f *feed) renewed(originals []original, err error) {
	if err != nil {
		f.p.logger.Warn("dapr: deliveries in hand cannot be renewed", slog.String("topic", f.topic), slog.Any("error", err))
	}
	for _, o := range originals {
		if !f.stands(o, err) {
			o.link.answer(o.id)
		}
	}
}

// stands ends a renewal. It reports whether the original is still wanted.
func (f *feed) stands(o original, err error) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	o.it.renewing = false
	switch {
	case o.it.settled:
		return false
	case err == nil && o.it.link == o.link: // else the copy has come already
		o.it.link = nil
	case err != nil:
		o.it.came = time.Now().Add(-f.p.config.processingTimeout / 4) // again soon, not at once
		return true
	}
	return false
}
