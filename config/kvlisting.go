package config

import (
	"context"
	"time"

	"fairlead.dev"
	kvdriver "fairlead.dev/kv/driver"
)

const (
	pageSize = 1000
	// settleEvery is how long a listing waits for the events up to its fence
	// before it asks for a new fence, because events may be merged into later
	// ones.
	settleEvery = 200 * time.Millisecond
	// listingTries bounds how often a listing starts over because the store
	// dropped the history that it needs.
	listingTries = 8
)

// listing reads all keys of a store.
type listing struct {
	store kvdriver.Store
	// fenced: the pages show several moments, and are to be made one by the
	// events from the first page to a place behind the last.
	fenced bool
}

// read returns a view of the store that began after this call. It has a
// watcher if that is asked for, and may have one otherwise.
func (l listing) read(ctx context.Context, watched bool) (*view, error) {
	for try := 1; ; try++ {
		v, err := l.attempt(ctx, watched)
		if err == nil {
			return v, nil
		}
		if fairlead.CodeOf(err) != fairlead.Compacted {
			return nil, err
		}
		if try == listingTries {
			return nil, fairlead.Errorf(fairlead.Unavailable, "the store drops its history faster than it can be listed: %w", err)
		}
	}
}

func (l listing) attempt(ctx context.Context, watched bool) (*view, error) {
	v, err := l.pages(ctx)
	if err == nil && v.place == "" {
		v, err = l.placeless(ctx)
	}
	if err != nil {
		return nil, err
	}
	if l.fenced {
		err = l.settle(ctx, v)
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

// placeless is for a store that cannot name its place, as one whose data was
// removed behind the provider's back: it is watched first and listed then.
func (l listing) placeless(ctx context.Context) (*view, error) {
	watcher, err := l.store.Watch(ctx, kvdriver.WatchRequest{})
	if err != nil {
		return nil, err
	}
	v, err := l.pages(ctx)
	if err != nil {
		(&view{watcher: watcher}).close(ctx)
		return nil, err
	}
	v.watcher = watcher
	return v, nil
}

// pages reads all pages into a view whose place is that of the first page.
func (l listing) pages(ctx context.Context) (*view, error) {
	v := newView()
	request := kvdriver.ListRequest{Limit: pageSize}
	for first := true; ; first = false {
		page, err := l.store.List(ctx, request)
		if err != nil {
			return nil, err
		}
		if first {
			v.place = page.Revision
		}
		v.add(page.Entries)
		if page.Token == "" {
			v.version = versionOf(v.values)
			return v, nil
		}
		request.Token = page.Token
	}
}

// settle brings v to the state of one moment: that of a place, the fence, that
// the store had reached after the last page was read. Each key was listed at
// some moment from the first page to the fence; the events in between, all
// applied, leave every key as it was at the fence.
//
// Waiting for the event at the fence suffices where every event is delivered.
// Where it may have been merged into a later one, a new fence is asked for
// until one is met.
func (l listing) settle(ctx context.Context, v *view) error {
	passed := map[kvdriver.Revision]bool{v.place: true}
	for {
		fence, err := l.place(ctx)
		if err != nil || passed[fence] {
			return err
		}
		if err := v.watch(ctx, l.store); err != nil {
			return err
		}
		if err := v.follow(ctx, fence, passed); err != nil {
			return err
		}
		if passed[fence] {
			return nil
		}
	}
}

// place returns the store's present place.
func (l listing) place(ctx context.Context) (kvdriver.Revision, error) {
	page, err := l.store.List(ctx, kvdriver.ListRequest{Limit: 1})
	return page.Revision, err
}

// follow applies events until one is at the fence, or settleEvery has passed.
func (v *view) follow(ctx context.Context, fence kvdriver.Revision, passed map[kvdriver.Revision]bool) error {
	wait, cancel := context.WithTimeout(ctx, settleEvery)
	defer cancel()
	for !passed[fence] {
		events, err := v.watcher.Next(wait)
		if err != nil && wait.Err() != nil && ctx.Err() == nil {
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
