package remote

import (
	"context"
	"time"

	"fairlead.dev"
	"fairlead.dev/kv/driver"
	"fairlead.dev/plugins/internal/convert"
	"fairlead.dev/plugins/internal/pluginpb/fairlead/plugin/v1"
)

// OpenStore implements the kv driver's Provider.
func (p *provider) OpenStore(ctx context.Context, c driver.StoreConfig) (driver.Store, error) {
	h, err := newHandle(ctx, p, nil, func(openReason) (*pluginpb.Call, error) {
		return &pluginpb.Call{Body: &pluginpb.Call_KvOpenStore{KvOpenStore: &pluginpb.KVOpenStore{Name: c.Name}}}, nil
	})
	if err != nil {
		return nil, err
	}
	return &store{h}, nil
}

// Stores implements the kv driver's Provider.
func (p *provider) Stores(ctx context.Context, prefix string) ([]string, error) {
	r, err := p.callProvider(ctx, &pluginpb.Call{Body: &pluginpb.Call_KvStores{KvStores: &pluginpb.KVStores{Prefix: prefix}}}, false)
	return r.GetNames().GetNames(), err
}

// DeleteStore implements the kv driver's Provider.
func (p *provider) DeleteStore(ctx context.Context, name string) error {
	_, err := p.callProvider(ctx, &pluginpb.Call{Body: &pluginpb.Call_KvDeleteStore{KvDeleteStore: &pluginpb.KVDeleteStore{Name: name}}}, true)
	return err
}

// store implements the kv driver's Store.
type store struct{ *handle }

// Do implements the kv driver's Store. It reads again the values that did not fit
// in the reply. The first value of a reply always fits, so the recursion ends.
func (s *store) Do(ctx context.Context, ops []driver.Op) []driver.Result {
	results := s.applyOps(ctx, ops)
	var unread []driver.Op
	var places []int
	for i, r := range results {
		if i > 0 && !ops[i].Kind.IsWrite() && fairlead.CodeOf(r.Err) == fairlead.TooLarge {
			unread, places = append(unread, ops[i]), append(places, i)
		}
	}
	if unread == nil {
		return results
	}
	for j, r := range s.Do(ctx, unread) {
		results[places[j]] = r
	}
	return results
}

// applyOps makes one call of the plugin with the operations.
func (s *store) applyOps(ctx context.Context, ops []driver.Op) []driver.Result {
	writes := false
	for _, op := range ops {
		writes = writes || op.Kind.IsWrite()
	}
	r, err := s.callWithHandle(ctx, &pluginpb.Call{Body: &pluginpb.Call_KvDo{KvDo: &pluginpb.KVDo{Ops: convert.FromOps(ops)}}}, writes)
	results := convert.ToResults(r.GetKvResults())
	if err == nil && len(results) != len(ops) {
		err = fairlead.Errorf(fairlead.Internal, "the plugin returned %d results for %d operations", len(results), len(ops))
	}
	if err == nil {
		s.completeResults(ctx, ops, results)
		return results
	}
	results = make([]driver.Result, len(ops))
	for i, op := range ops {
		results[i].Err = opError(ctx, err, op.Kind.IsWrite())
	}
	return results
}

// completeResults gives the callers of operations their own errors, and existing
// empty values a value: an empty value has no bytes on the wire.
func (s *store) completeResults(ctx context.Context, ops []driver.Op, results []driver.Result) {
	for i := range results {
		r := &results[i]
		switch {
		case r.Err == nil:
			if r.Value == nil && ops[i].Kind == driver.OpGet {
				r.Value = []byte{}
			}
		case fairlead.CodeOf(r.Err) == fairlead.Canceled && ctx.Err() == nil && isPast(ops[i].Deadline):
			r.Err = fairlead.Errorf(fairlead.DeadlineExceeded, "%w", context.DeadlineExceeded)
		default:
			r.Err = s.p.callerError(ctx, r.Err)
		}
	}
}

func isPast(deadline time.Time) bool { return !deadline.IsZero() && !time.Now().Before(deadline) }

// opError returns the error for one operation of a failed call that has writes:
// the outcome of a read is not unknown.
func opError(ctx context.Context, err error, write bool) error {
	if write || fairlead.CodeOf(err) != fairlead.UnknownOutcome {
		return err
	}
	if ctx.Err() != nil {
		return fairlead.ContextError(ctx)
	}
	return fairlead.Errorf(fairlead.Unavailable, "%w", err)
}

// Txn implements the kv driver's Store.
func (s *store) Txn(ctx context.Context, t driver.Txn) (driver.Revision, error) {
	r, err := s.callWithHandle(ctx, &pluginpb.Call{Body: &pluginpb.Call_KvTxn{KvTxn: convert.FromTxn(t)}}, len(t.Writes) > 0)
	return driver.Revision(r.GetKvTxnResult().GetRevision()), err
}

// List implements the kv driver's Store.
func (s *store) List(ctx context.Context, l driver.ListRequest) (driver.Page, error) {
	r, err := s.callWithHandle(ctx, &pluginpb.Call{Body: &pluginpb.Call_KvList{KvList: &pluginpb.KVList{
		Prefix: []byte(l.Prefix), Token: []byte(l.Token), Limit: int64(l.Limit),
	}}}, false)
	return convert.ToPage(r.GetKvPage()), err
}

// Close implements the kv driver's Store.
func (s *store) Close(ctx context.Context) error { return s.closeHandle(ctx) }
