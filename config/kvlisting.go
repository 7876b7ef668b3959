package config

import (
	"context"
	"time"

	"fairlead.dev"
	kvdriver "fairlead.dev/kv/driver"
)

const (
	pageSize = 1000
	// renewFenceEvery is how long a listing waits for the event at its fence
	// before it asks for a new fence: that event may be merged into a later one.
	renewFenceEvery = 200 * time.Millisecond
	// maxListings bounds how often a listing is repeated because the store dropped
	// the history that it needs.
	maxListings = 8
)

// listing reads all keys of a store.
type listing struct {
	store kvdriver.Store
	// fenced is true if the pages show several moments. The events from the first
	// page up to a revision after the last page then bring them to one moment.
	fenced bool
}

// read returns a view of the store as it is after the call began. If watched, the
// view has a watcher; otherwise it may have one.
func (l listing) read(ctx context.Context, watched bool) (*view, error) {
	for try := 1; ; try++ {
		v, err := l.readOnce(ctx, watched)
		if err == nil {
			return v, nil
		}
		if fairlead.CodeOf(err) != fairlead.Compacted {
			return nil, err
		}
		if try == maxListings {
			return nil, fairlead.Errorf(fairlead.Unavailable, "the store drops its history faster than it can be listed: %w", err)
		}
	}
}

// readOnce fails with Compacted if the store dropped the history that it needs.
func (l listing) readOnce(ctx context.Context, watched bool) (*view, error) {
	v, err := l.readPages(ctx)
	if err == nil && v.revision == "" {
		v, err = l.watchAndRead(ctx)
	}
	if err != nil {
		return nil, err
	}
	if l.fenced {
		err = l.bringToOneMoment(ctx, v)
	}
	if err == nil && watched {
		err = v.watch(ctx, l.store)
	}
	if err != nil {
		v.close(ctx)
		return nil, err
	}
	return v, nil
}

// watchAndRead reads a store that has no revision, for example one whose data was
// removed without the provider: it watches the store first and then lists it.
func (l listing) watchAndRead(ctx context.Context) (*view, error) {
	watcher, err := l.store.Watch(ctx, kvdriver.WatchRequest{})
	if err != nil {
		return nil, err
	}
	v, err := l.readPages(ctx)
	if err != nil {
		(&view{watcher: watcher}).close(ctx)
		return nil, err
	}
	v.watcher = watcher
	return v, nil
}

// readPages reads all pages into a view at the revision of the first page.
func (l listing) readPages(ctx context.Context) (*view, error) {
	v := newView()
	request := kvdriver.ListRequest{Limit: pageSize}
	for first := true; ; first = false {
		page, err := l.store.List(ctx, request)
		if err != nil {
			return nil, err
		}
		if first {
			v.revision = page.Revision
		}
		v.add(page.Entries)
		if page.Token == "" {
			v.version = versionOf(v.values)
			return v, nil
		}
		request.Token = page.Token
	}
}

// bringToOneMoment brings v to the state at the fence: a revision that the store
// had reached after the last page was read. Each key was listed at some moment
// between the first page and the fence. After all events in between, every key is
// as it was at the fence.
//
// Where every event is delivered, it suffices to wait for the event at the fence.
// Where that event may be merged into a later one, the listing asks for a new
// fence until it receives the event of one.
func (l listing) bringToOneMoment(ctx context.Context, v *view) error {
	passed := map[kvdriver.Revision]bool{v.revision: true}
	for {
		fence, err := l.presentRevision(ctx)
		if err != nil || passed[fence] {
			return err
		}
		if err := v.watch(ctx, l.store); err != nil {
			return err
		}
		if err := v.applyUntil(ctx, fence, passed); err != nil {
			return err
		}
		if passed[fence] {
			return nil
		}
	}
}

// presentRevision returns the store's present revision.
func (l listing) presentRevision(ctx context.Context) (kvdriver.Revision, error) {
	page, err := l.store.List(ctx, kvdriver.ListRequest{Limit: 1})
	return page.Revision, err
}

// applyUntil applies events until one is at the fence, or renewFenceEvery has passed.
func (v *view) applyUntil(ctx context.Context, fence kvdriver.Revision, passed map[kvdriver.Revision]bool) error {
	end := time.Now().Add(renewFenceEvery)
	for !passed[fence] {
		var events []kvdriver.Event
		timedOut, err := callWithin(ctx, time.Until(end), func(ctx context.Context) (err error) {
			events, err = v.watcher.Next(ctx)
			return err
		})
		if timedOut {
			return nil
		}
		if err != nil {
			return err
		}
		v.apply(events)
		for _, e := range events {
			passed[e.Revision] = true
		}
	}
	return nil
}
