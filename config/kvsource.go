package config

import (
	"context"
	"crypto/rand"
	"time"

	"fairlead.dev"
	"fairlead.dev/config/driver"
	kvdriver "fairlead.dev/kv/driver"
)

const (
	// probeEvery is how long Next waits for events before it asks the store
	// whether it is there: a watcher may reconnect in silence.
	probeEvery = 2 * time.Second
	// probeKey is read to see whether the store answers. It need not exist.
	probeKey = "fairlead.probe"
	// maxSeen bounds how many versions a source remembers.
	maxSeen = 1024
)

// kvSource is configuration in a kv store: the store's keys are the settings.
type kvSource struct {
	store   kvdriver.Store
	listing listing
	txn     bool // the store claims Txn

	// turn holds one token. Who has it may use the fields below.
	turn chan struct{}
	view *view // nil if the store must be listed first
	// seen are versions that view has, or once had. A caller who names
	// another one may know more than view, which must not take it back in
	// time.
	seen map[string]bool
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
		snapshot, differs, err := s.step(ctx, version)
		s.turn <- struct{}{}
		if differs || err != nil {
			return snapshot, err
		}
	}
}

// step returns the present state if its version differs from the one given,
// and otherwise waits for events once.
func (s *kvSource) step(ctx context.Context, version string) (driver.Snapshot, bool, error) {
	if s.view == nil || !s.seen[version] {
		if err := s.relist(ctx); err != nil {
			return driver.Snapshot{}, false, err
		}
	}
	if s.view.version != version {
		return s.view.snapshot(), true, nil
	}
	return driver.Snapshot{}, false, s.pump(ctx)
}

// relist replaces the view by one that began after this call.
func (s *kvSource) relist(ctx context.Context) error {
	s.drop(ctx)
	v, err := s.listing.read(ctx, true)
	if err != nil {
		return err
	}
	s.view = v
	s.remember()
	return nil
}

func (s *kvSource) drop(ctx context.Context) {
	if s.view != nil {
		s.view.close(ctx)
		s.view = nil
	}
}

func (s *kvSource) remember() {
	if len(s.seen) >= maxSeen {
		clear(s.seen)
	}
	s.seen[s.view.version] = true
}

// pump applies one batch of events. After an error the store is listed anew,
// whatever the watcher may have kept.
func (s *kvSource) pump(ctx context.Context) error {
	wait, cancel := context.WithTimeout(ctx, probeEvery)
	defer cancel()
	events, err := s.view.watcher.Next(wait)
	if err == nil {
		s.view.apply(events)
		s.remember()
		return nil
	}
	if ctx.Err() != nil {
		return fairlead.ContextError(ctx)
	}
	if wait.Err() != nil {
		if err = s.probe(ctx); err == nil {
			return nil
		}
	}
	s.drop(ctx)
	if fairlead.CodeOf(err) == fairlead.Compacted {
		return nil
	}
	return err
}

// probe reports whether the store answers.
func (s *kvSource) probe(ctx context.Context) error {
	within, cancel := context.WithTimeout(ctx, probeEvery)
	defer cancel()
	err := s.store.Do(within, []kvdriver.Op{{Kind: kvdriver.OpGet, Key: probeKey}})[0].Err
	switch {
	case fairlead.CodeOf(err) == fairlead.NotFound:
		return nil
	case ctx.Err() != nil:
		return fairlead.ContextError(ctx)
	case within.Err() != nil:
		return fairlead.Errorf(fairlead.Unavailable, "the store does not answer within %v", probeEvery)
	}
	return err
}

// Set implements driver.Source.
func (s *kvSource) Set(ctx context.Context, changes []driver.Change) (string, error) {
	if err := s.write(ctx, changes); err != nil {
		return "", err
	}
	now, err := s.Snapshot(ctx)
	if err != nil {
		// The changes are made all the same. A version that no state has
		// makes Next answer at once.
		return "after-set-" + rand.Text(), nil
	}
	return now.Version, nil
}

func (s *kvSource) write(ctx context.Context, changes []driver.Change) error {
	if s.txn {
		_, err := s.store.Txn(ctx, txnOf(changes))
		return err
	}
	return s.writeEach(ctx, changes)
}

func txnOf(changes []driver.Change) kvdriver.Txn {
	var t kvdriver.Txn
	for _, c := range changes {
		if c.Checked {
			t.Conditions = append(t.Conditions, kvdriver.Condition{Key: c.Key, Revision: kvdriver.Revision(c.Version)})
		}
		t.Writes = append(t.Writes, opOf(driver.Change{Key: c.Key, Data: c.Data, Delete: c.Delete}))
	}
	return t
}

// writeEach makes the changes one after the other and stops at the first that
// fails.
func (s *kvSource) writeEach(ctx context.Context, changes []driver.Change) error {
	for i, c := range changes {
		err := s.store.Do(ctx, []kvdriver.Op{opOf(c)})[0].Err
		if err != nil && i > 0 {
			return fairlead.Errorf(fairlead.UnknownOutcome,
				"the first %d of %d changes were made, that of key %q failed: %w", i, len(changes), c.Key, err)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func opOf(c driver.Change) kvdriver.Op {
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

// Close implements driver.Source. The portable layer sees to it that no call
// is under way.
func (s *kvSource) Close(ctx context.Context) error {
	s.drop(ctx)
	return s.store.Close(ctx)
}
