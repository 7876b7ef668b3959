package config

import (
	"context"
	"time"

	"fairlead.dev"
	"fairlead.dev/config/driver"
	kvdriver "fairlead.dev/kv/driver"
)

const (
	// probeEvery is how long Next waits for events before it checks that the
	// store answers: a watcher may reconnect without an error.
	probeEvery = 2 * time.Second
	// probeKey is read to check that the store answers. It need not exist.
	probeKey = "fairlead.probe"
	// maxSeen bounds how many versions a source remembers.
	maxSeen = 1024
)

// kvSource is a source over a kv store: the store's keys are the settings.
type kvSource struct {
	store   kvdriver.Store
	listing listing
	txn     bool // the store claims Txn

	// turn holds one token. The goroutine that has it may use the fields below.
	turn chan struct{}
	view *view // nil if the store must be listed first
	// seen has versions that view has or had. The version of a caller that is
	// not among them may be newer than view; the store is then listed again, so
	// that the caller does not receive an older state.
	seen map[string]bool
	// lost counts how often in a row the store has dropped the history that the
	// view needs, while nothing changed. After maxListings times, there is a pause
	// each time.
	lost  int
	pause backoff
}

var _ driver.Source = (*kvSource)(nil)

func openKVSource(ctx context.Context, p fairlead.Provider, name string, d fairlead.FacetDescription) (driver.Source, error) {
	kp, ok := p.(kvdriver.Provider)
	if !ok {
		return nil, fairlead.Errorf(fairlead.Internal, "the provider describes the kv facet but does not implement it")
	}
	store, err := kp.OpenStore(ctx, kvdriver.StoreConfig{Name: name})
	if err != nil {
		return nil, err
	}
	s := &kvSource{
		store: store,
		listing: listing{
			store:  store,
			fenced: d.Has(kvdriver.ClaimWatchTxn) && !d.Has(kvdriver.ClaimSnapshotList),
		},
		txn:  d.Has(kvdriver.ClaimTxn),
		turn: make(chan struct{}, 1),
		seen: map[string]bool{},
	}
	s.turn <- struct{}{}
	return s, nil
}

// Snapshot implements driver.Source.
func (s *kvSource) Snapshot(ctx context.Context) (driver.Snapshot, error) {
	v, err := s.listing.read(ctx, false)
	if err != nil {
		return driver.Snapshot{}, err
	}
	v.close(ctx)
	return v.snapshot(), nil
}

// Next implements driver.Source.
func (s *kvSource) Next(ctx context.Context, version string) (driver.Snapshot, error) {
	for {
		select {
		case <-s.turn:
		case <-ctx.Done():
			return driver.Snapshot{}, fairlead.ContextError(ctx)
		}
		snapshot, differs, err := s.nextOrWait(ctx, version)
		s.turn <- struct{}{}
		if differs || err != nil {
			return snapshot, err
		}
	}
}

// nextOrWait returns the present state and true if its version differs from the
// one given, and otherwise waits for one batch of events.
func (s *kvSource) nextOrWait(ctx context.Context, version string) (driver.Snapshot, bool, error) {
	if s.view == nil || !s.seen[version] {
		if err := s.relist(ctx); err != nil {
			return driver.Snapshot{}, false, err
		}
	}
	if s.view.version != version {
		s.lost, s.pause = 0, backoff{}
		return s.view.snapshot(), true, nil
	}
	return driver.Snapshot{}, false, s.applyEvents(ctx)
}

// relist replaces the view by a new listing.
func (s *kvSource) relist(ctx context.Context) error {
	s.dropView(ctx)
	v, err := s.listing.read(ctx, true)
	if err != nil {
		return err
	}
	s.view = v
	s.rememberVersion()
	return nil
}

func (s *kvSource) dropView(ctx context.Context) {
	if s.view != nil {
		s.view.close(ctx)
		s.view = nil
	}
}

func (s *kvSource) rememberVersion() {
	if len(s.seen) >= maxSeen {
		clear(s.seen)
	}
	s.seen[s.view.version] = true
}

// applyEvents applies one batch of events. After an error, the next call lists
// the store again, whatever events the watcher still has.
func (s *kvSource) applyEvents(ctx context.Context) error {
	var events []kvdriver.Event
	quiet, err := callWithin(ctx, probeEvery, func(ctx context.Context) (err error) {
		events, err = s.view.watcher.Next(ctx)
		return err
	})
	if err == nil {
		s.view.apply(events)
		s.rememberVersion()
		s.lost, s.pause = 0, backoff{}
		return nil
	}
	if quiet {
		if err = s.probe(ctx); err == nil {
			s.lost, s.pause = 0, backoff{}
			return nil
		}
	}
	if ended := fairlead.ContextError(ctx); ended != nil {
		return ended
	}
	s.dropView(ctx)
	if fairlead.CodeOf(err) == fairlead.Compacted {
		if s.lost++; s.lost > maxListings {
			s.pause.wait(ctx)
		}
		return nil
	}
	return err
}

// probe fails with Unavailable if the store does not answer.
func (s *kvSource) probe(ctx context.Context) error {
	late, err := callWithin(ctx, probeEvery, func(ctx context.Context) error {
		return s.store.Do(ctx, []kvdriver.Op{{Kind: kvdriver.OpGet, Key: probeKey}})[0].Err
	})
	switch {
	case fairlead.CodeOf(err) == fairlead.NotFound:
		return nil
	case late:
		return fairlead.Errorf(fairlead.Unavailable, "the store did not answer within %v", probeEvery)
	}
	return err
}

// Set implements driver.Source.
func (s *kvSource) Set(ctx context.Context, changes []driver.Change) (string, error) {
	if err := s.writeChanges(ctx, changes); err != nil {
		return "", err
	}
	now, err := s.Snapshot(ctx)
	if err != nil {
		return "", nil // the changes are made nevertheless
	}
	return now.Version, nil
}

func (s *kvSource) writeChanges(ctx context.Context, changes []driver.Change) error {
	if s.txn {
		_, err := s.store.Txn(ctx, newTxn(changes))
		return err
	}
	return s.writeEach(ctx, changes)
}

func newTxn(changes []driver.Change) kvdriver.Txn {
	var t kvdriver.Txn
	for _, c := range changes {
		if c.Checked {
			t.Conditions = append(t.Conditions, kvdriver.Condition{Key: c.Key, Revision: kvdriver.Revision(c.Version)})
		}
		t.Writes = append(t.Writes, newOp(driver.Change{Key: c.Key, Data: c.Data, Delete: c.Delete}))
	}
	return t
}

// writeEach makes the changes one by one, up to the first that fails.
func (s *kvSource) writeEach(ctx context.Context, changes []driver.Change) error {
	for i, c := range changes {
		err := s.store.Do(ctx, []kvdriver.Op{newOp(c)})[0].Err
		if err != nil && i > 0 {
			return fairlead.Errorf(fairlead.UnknownOutcome,
				"the first %d of %d changes were made; the change of key %q failed: %w", i, len(changes), c.Key, err)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func newOp(c driver.Change) kvdriver.Op {
	op := kvdriver.Op{Kind: kvdriver.OpPut, Key: c.Key, Value: c.Data, Revision: kvdriver.Revision(c.Version)}
	switch {
	case c.Delete && c.Checked:
		op.Kind = kvdriver.OpDeleteIf
	case c.Delete:
		op.Kind = kvdriver.OpDelete
	case c.Checked && c.Version == "":
		op.Kind = kvdriver.OpCreate
	case c.Checked:
		op.Kind = kvdriver.OpCAS
	}
	if c.Delete {
		op.Value = nil
	}
	return op
}

// Close implements driver.Source. The portable layer calls it when no other call
// is under way.
func (s *kvSource) Close(ctx context.Context) error {
	s.dropView(ctx)
	return s.store.Close(ctx)
}
