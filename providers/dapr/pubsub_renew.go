package dapr

import (
	"context"
	"log/slog"
	"time"

	"fairlead.dev/providers"
)

// settledMemory is for how many times the processing timeout an acknowledged
// event that has not come again is remembered.
const settledMemory = 20

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
			if due := f.due(now.Add(-after), now.Add(-settledMemory*f.p.config.processingTimeout)); len(due) > 0 {
				f.renew(due)
			}
		}
	}
}

// due returns the items that came before a time and have no answer, and
// forgets the settled ones from before another time.
func (f *feed) due(before, forgotten time.Time) (due []*item) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for uid, it := range f.items {
		switch {
		case it.settled && !it.renewing && it.came.Before(forgotten):
			delete(f.items, uid)
		case !it.settled && !it.renewing && it.link != nil && it.came.Before(before):
			it.renewing = true
			due = append(due, it)
		}
	}
	return due
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
		data, err := it.arrival.copy()
		if err != nil || it.link == nil {
			it.renewing = false
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
		if f.stands(o, err) {
			continue
		}
		o.link.answer(o.id)
	}
}

// stands ends a renewal. It reports whether the original is still wanted.
func (f *feed) stands(o original, err error) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	o.it.renewing = false
	copied := o.it.link != o.link // the copy has come already
	switch {
	case o.it.settled && copied:
		delete(f.items, o.it.uid)
	case err == nil && !copied:
		o.it.link = nil
	}
	if err != nil && !o.it.settled && !copied {
		o.it.came = time.Now().Add(-f.p.config.processingTimeout / 4) // again soon, not at once
	}
	return err != nil && !o.it.settled && providers.CodeOf(err) != 0
}
