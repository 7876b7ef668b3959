package gocloud

import (
	"context"
	"encoding/hex"

	"gocloud.dev/docstore"
	"gocloud.dev/gcerrors"

	"fairlead.dev"
	"fairlead.dev/kv/driver"
)

// kvAtOnce bounds the operations of one call that are under way at once.
const kvAtOnce = 16

// document is an entry as docstore keeps it.
type document struct {
	Key   string `docstore:"key"`
	Value []byte `docstore:"value"`
	// Deleted marks an entry that is about to be removed: see store.deleteIf.
	Deleted          bool `docstore:"deleted"`
	DocstoreRevision any
}

type store struct {
	docs *Docs
	coll *docstore.Collection
	life lifetime
}

// OpenStore implements the kv driver's Provider.
func (p *provider) OpenStore(ctx context.Context, c driver.StoreConfig) (driver.Store, error) {
	s := &store{docs: p.backend.Docs, life: newLifetime(p.life.ctx)}
	err := s.life.call(ctx, func(ctx context.Context) error {
		coll, err := s.docs.OpenCollection(ctx, c.Name)
		if err == nil {
			s.coll = coll
		}
		return err
	})
	if err != nil {
		s.life.end()
		return nil, failed(openFailed(err))
	}
	if s.docs.Close != nil {
		context.AfterFunc(s.life.ctx, func() { _ = guard(func() error { return s.docs.Close(s.coll) }) })
	}
	return s, nil
}

// Stores implements the kv driver's Provider.
func (p *provider) Stores(ctx context.Context, prefix string) (names []string, err error) {
	err = p.life.call(ctx, func(ctx context.Context) (err error) {
		names, err = p.backend.Docs.Collections(ctx, prefix)
		return err
	})
	return names, failed(openFailed(err))
}

// DeleteStore implements the kv driver's Provider. Handles that are open go on
// with the detached data.
func (p *provider) DeleteStore(ctx context.Context, name string) error {
	return writeFailed(p.life.call(ctx, func(ctx context.Context) error {
		return p.backend.Docs.DeleteCollection(ctx, name)
	}))
}

// Close implements the kv driver's Store.
func (s *store) Close(context.Context) error {
	s.life.end()
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
	each(len(ops), kvAtOnce, func(i int) { results[i] = s.do(ctx, ops[i]) })
	return results
}

func (s *store) do(ctx context.Context, op driver.Op) driver.Result {
	if !op.Deadline.IsZero() {
		var cancel context.CancelFunc
		ctx, cancel = context.WithDeadline(ctx, op.Deadline)
		defer cancel()
	}
	var res driver.Result
	err := s.life.call(ctx, func(ctx context.Context) error {
		got, err := s.one(ctx, op)
		if err == nil {
			res = got
		}
		return err
	})
	switch {
	case err == nil:
		return res
	case gone(op.Kind, err):
		return driver.Result{Err: fairlead.Errorf(fairlead.NotFound, "the store was deleted; open it again: %w", err)}
	case op.Kind.IsWrite():
		return driver.Result{Err: writeFailed(err)}
	default:
		return driver.Result{Err: failed(openFailed(err))}
	}
}

// gone: without a condition only a collection that was closed can refuse one.
func gone(k driver.OpKind, err error) bool {
	conditional := k == driver.OpCreate || k == driver.OpCAS || k == driver.OpDeleteIf
	return !conditional && gcerrors.Code(err) == gcerrors.FailedPrecondition
}

func (s *store) one(ctx context.Context, op driver.Op) (driver.Result, error) {
	d := &document{Key: s.key(op.Key), Value: clone(op.Value)}
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
	return s.written(d)
}

// written returns the revision that docstore has put into the document.
func (s *store) written(d *document) (driver.Result, error) {
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
		return driver.Result{}, fairlead.Errorf(fairlead.NotFound, "no key %q", key)
	}
	rev, err := s.coll.RevisionToString(d.DocstoreRevision)
	if err != nil {
		return driver.Result{}, fairlead.Errorf(fairlead.Internal, "a document has no revision; it was not written by Fairlead: %w", err)
	}
	return driver.Result{Value: clone(d.Value), Revision: driver.Revision(rev)}, nil
}

// create makes a new document, or takes the place of one that is about to be
// removed.
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
	return conflict(s.coll.Replace(ctx, d))
}

// replace writes a document that has a revision.
func (s *store) replace(ctx context.Context, d *document, rev driver.Revision) error {
	native, err := s.coll.StringToRevision(string(rev))
	if err != nil || native == nil {
		return fairlead.Errorf(fairlead.Conflict, "the key has another revision: %q is none of this store", string(rev))
	}
	d.DocstoreRevision = native
	return conflict(s.coll.Replace(ctx, d))
}

// conflict: a document that does not exist has another revision, too.
func conflict(err error) error {
	if gcerrors.Code(err) == gcerrors.NotFound {
		return fairlead.Errorf(fairlead.Conflict, "the key does not exist")
	}
	return err
}

// deleteIf removes a document that has a revision. A conditional Delete of
// docstore succeeds for a document that does not exist, with some drivers. A
// conditional Replace does not: it marks the document, which is the deletion;
// what is marked is removed afterwards, and counts as removed if that fails.
func (s *store) deleteIf(ctx context.Context, key string, rev driver.Revision) error {
	mark := &document{Key: key, Deleted: true}
	if err := s.replace(ctx, mark, rev); err != nil {
		return err
	}
	_ = s.coll.Delete(ctx, mark) // of this very revision
	return nil
}

// Txn implements the kv driver's Store. It is not claimed.
func (s *store) Txn(context.Context, driver.Txn) (driver.Revision, error) {
	return "", fairlead.Errorf(fairlead.Unsupported, "docstore has no transactions that the bridge could claim")
}

// Watch implements the kv driver's Store. It is not claimed.
func (s *store) Watch(context.Context, driver.WatchRequest) (driver.Watcher, error) {
	return nil, fairlead.Errorf(fairlead.Unsupported, "docstore cannot watch")
}

// clone returns a copy that is not nil.
func clone(b []byte) []byte { return append(make([]byte, 0, len(b)), b...) }
