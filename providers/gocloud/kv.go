package gocloud

import (
	"context"
	"encoding/hex"

	"gocloud.dev/docstore"
	"gocloud.dev/gcerrors"

	"fairlead.dev"
	"fairlead.dev/kv/driver"
	"fairlead.dev/providers"
)

// maxConcurrentOps bounds the operations of one call that are under way at the
// same time.
const maxConcurrentOps = 16

// document is an entry as docstore stores it.
type document struct {
	Key   string `docstore:"key"`
	Value []byte `docstore:"value"`
	// Deleted marks an entry that counts as deleted: see store.deleteIf.
	Deleted          bool `docstore:"deleted"`
	DocstoreRevision any
}

// store is a handle of a collection.
type store struct {
	docs *Docs
	coll *docstore.Collection
	life *providers.Lifetime
}

// OpenStore implements the kv driver's Provider.
func (p *provider) OpenStore(ctx context.Context, c driver.StoreConfig) (driver.Store, error) {
	s := &store{docs: p.backend.Docs, life: p.life.Child("store")}
	err := call(ctx, s.life, func(ctx context.Context) error {
		coll, err := s.docs.OpenCollection(ctx, c.Name)
		if err == nil {
			s.coll = coll
		}
		return err
	})
	if err != nil {
		s.life.End()
		return nil, convertError(unwrapAbandoned(err))
	}
	if s.docs.Close != nil {
		context.AfterFunc(s.life.Context(), func() { _ = recoverPanic(func() error { return s.docs.Close(s.coll) }) })
	}
	return s, nil
}

// Stores implements the kv driver's Provider.
func (p *provider) Stores(ctx context.Context, prefix string) (names []string, err error) {
	err = call(ctx, p.life, func(ctx context.Context) (err error) {
		names, err = p.backend.Docs.Collections(ctx, prefix)
		return err
	})
	return names, convertError(unwrapAbandoned(err))
}

// DeleteStore implements the kv driver's Provider. Open handles keep using the
// detached data.
func (p *provider) DeleteStore(ctx context.Context, name string) error {
	return convertWriteError(call(ctx, p.life, func(ctx context.Context) error {
		return p.backend.Docs.DeleteCollection(ctx, name)
	}))
}

// Close implements the kv driver's Store.
func (s *store) Close(context.Context) error {
	s.life.End()
	return nil
}

// key is the key field's value for a key.
func (s *store) key(key string) string {
	if s.docs.Ordered {
		return key
	}
	return hex.EncodeToString([]byte(key))
}

// Do implements the kv driver's Store.
func (s *store) Do(ctx context.Context, ops []driver.Op) []driver.Result {
	results := make([]driver.Result, len(ops))
	forEach(len(ops), maxConcurrentOps, func(i int) { results[i] = s.execute(ctx, ops[i]) })
	return results
}

// execute carries out one operation within its deadline.
func (s *store) execute(ctx context.Context, op driver.Op) driver.Result {
	if !op.Deadline.IsZero() {
		var cancel context.CancelFunc
		ctx, cancel = context.WithDeadline(ctx, op.Deadline)
		defer cancel()
	}
	var res driver.Result
	err := call(ctx, s.life, func(ctx context.Context) error {
		got, err := s.apply(ctx, op)
		if err == nil {
			res = got
		}
		return err
	})
	switch {
	case err == nil:
		return res
	case isCollectionClosed(op.Kind, err):
		return driver.Result{Err: fairlead.Errorf(fairlead.NotFound, "the store was deleted; open it again: %w", err)}
	case op.Kind.IsWrite():
		return driver.Result{Err: convertWriteError(err)}
	default:
		return driver.Result{Err: convertError(unwrapAbandoned(err))}
	}
}

// isCollectionClosed reports whether an error says that the collection was
// closed: an operation without a condition is refused only then.
func isCollectionClosed(k driver.OpKind, err error) bool {
	conditional := k == driver.OpCreate || k == driver.OpCAS || k == driver.OpDeleteIf
	return !conditional && gcerrors.Code(err) == gcerrors.FailedPrecondition
}

// apply translates one operation to docstore.
func (s *store) apply(ctx context.Context, op driver.Op) (driver.Result, error) {
	d := &document{Key: s.key(op.Key), Value: copyBytes(op.Value)}
	var err error
	switch op.Kind {
	case driver.OpGet:
		return s.get(ctx, op.Key)
	case driver.OpPut:
		err = s.coll.Put(ctx, d)
	case driver.OpCreate:
		err = s.create(ctx, d)
	case driver.OpCAS:
		err = s.replace(ctx, d, op.Revision)
	case driver.OpDelete:
		return driver.Result{}, s.coll.Delete(ctx, &document{Key: d.Key})
	case driver.OpDeleteIf:
		return driver.Result{}, s.deleteIf(ctx, d.Key, op.Revision)
	}
	if err != nil {
		return driver.Result{}, err
	}
	return s.writeResult(d)
}

// writeResult returns the revision that docstore has set in the document.
func (s *store) writeResult(d *document) (driver.Result, error) {
	rev, err := s.coll.RevisionToString(d.DocstoreRevision)
	if err != nil {
		return driver.Result{}, fairlead.Errorf(fairlead.UnknownOutcome, "the driver gave the written document no revision: %w", err)
	}
	return driver.Result{Revision: driver.Revision(rev)}, nil
}

func (s *store) get(ctx context.Context, key string) (driver.Result, error) {
	d := &document{Key: s.key(key)}
	if err := s.coll.Get(ctx, d); err != nil {
		return driver.Result{}, err
	}
	if d.Deleted {
		return driver.Result{}, fairlead.Errorf(fairlead.NotFound, "the key does not exist")
	}
	rev, err := s.coll.RevisionToString(d.DocstoreRevision)
	if err != nil {
		return driver.Result{}, fairlead.Errorf(fairlead.Internal, "a document has no revision; it was not written by Fairlead: %w", err)
	}
	return driver.Result{Value: copyBytes(d.Value), Revision: driver.Revision(rev)}, nil
}

// create creates a document, or replaces one that is marked as deleted.
func (s *store) create(ctx context.Context, d *document) error {
	err := s.coll.Create(ctx, d)
	if gcerrors.Code(err) != gcerrors.AlreadyExists {
		return err
	}
	old := &document{Key: d.Key}
	if getErr := s.coll.Get(ctx, old); getErr != nil || !old.Deleted {
		return err
	}
	d.DocstoreRevision = old.DocstoreRevision
	return convertConflict(s.coll.Replace(ctx, d))
}

// replace writes a document that has a revision.
func (s *store) replace(ctx context.Context, d *document, rev driver.Revision) error {
	native, err := s.coll.StringToRevision(string(rev))
	if err != nil || native == nil {
		return fairlead.Errorf(fairlead.Conflict, "the key has another revision; %q is not from this store", string(rev))
	}
	d.DocstoreRevision = native
	return convertConflict(s.coll.Replace(ctx, d))
}

// convertConflict converts NotFound to Conflict: a document that does not exist
// does not have the revision either.
func convertConflict(err error) error {
	if gcerrors.Code(err) == gcerrors.NotFound {
		return fairlead.Errorf(fairlead.Conflict, "the key does not exist")
	}
	return err
}

// deleteIf deletes a document that has a revision. With some drivers, a
// conditional Delete of docstore succeeds for a document that does not exist. A
// conditional Replace does not: it marks the document as deleted. The marked
// document is removed afterwards; it counts as deleted if that fails.
func (s *store) deleteIf(ctx context.Context, key string, rev driver.Revision) error {
	mark := &document{Key: key, Deleted: true}
	if err := s.replace(ctx, mark, rev); err != nil {
		return err
	}
	_ = s.coll.Delete(ctx, mark) // only if it still has this revision
	return nil
}

// Txn implements the kv driver's Store. It is not claimed.
func (s *store) Txn(context.Context, driver.Txn) (driver.Revision, error) {
	return "", fairlead.Errorf(fairlead.Unsupported, "docstore has no transactions with conditions on other documents")
}

// Watch implements the kv driver's Store. It is not claimed.
func (s *store) Watch(context.Context, driver.WatchRequest) (driver.Watcher, error) {
	return nil, fairlead.Errorf(fairlead.Unsupported, "docstore cannot watch")
}

// copyBytes returns a copy that is not nil.
func copyBytes(b []byte) []byte { return append(make([]byte, 0, len(b)), b...) }
