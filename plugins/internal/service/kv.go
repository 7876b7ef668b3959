package service

import (
	"context"
	"strings"

	"fairlead.dev"
	"fairlead.dev/internal/batcher"
	"fairlead.dev/kv/driver"
	"fairlead.dev/plugins/internal/convert"
	"fairlead.dev/plugins/internal/pluginpb/fairlead/plugin/v1"
)

// store is an open store. Operations that hosts send one by one are gathered
// into pipelines here; those that come together already are.
type store struct {
	driver.Store
	do    func(context.Context, []driver.Op) []driver.Result
	group *batcher.Batcher[driver.Op, driver.Result]
}

func (s *store) Close(ctx context.Context) error {
	err := s.Store.Close(ctx)
	_ = s.group.Close(ctx) // nothing runs any more
	return err
}

func (s *session) limits(ctx context.Context, f fairlead.Facet) (fairlead.Limits, error) {
	d, err := s.provider.Describe(ctx)
	fd, _ := d.Facet(f)
	return fd.Limits, err
}

func (s *session) kvProvider(ctx context.Context, c *pluginpb.Call) (*pluginpb.Reply, error) {
	p, err := driverOf[driver.Provider](s)
	if err != nil {
		return nil, err
	}
	switch b := c.Body.(type) {
	case *pluginpb.Call_KvOpenStore:
		return s.openStore(ctx, p, strings.Clone(b.KvOpenStore.GetName()))
	case *pluginpb.Call_KvStores:
		return names(p.Stores(ctx, b.KvStores.GetPrefix()))
	case *pluginpb.Call_KvDeleteStore:
		return &pluginpb.Reply{}, p.DeleteStore(ctx, b.KvDeleteStore.GetName())
	}
	return nil, nil
}

func (s *session) openStore(ctx context.Context, p driver.Provider, name string) (*pluginpb.Reply, error) {
	limits, err := s.limits(ctx, fairlead.KV)
	if err != nil {
		return nil, err
	}
	st, err := p.OpenStore(ctx, driver.StoreConfig{Name: name})
	if err != nil {
		return nil, err
	}
	do := each(s, st.Do, func(err error) driver.Result { return driver.Result{Err: err} })
	return s.keep(ctx, &store{st, do, batcher.New(limits, driver.Op.Size, do)}, nil)
}

func names(names []string, err error) (*pluginpb.Reply, error) {
	return &pluginpb.Reply{Body: &pluginpb.Reply_Names{Names: &pluginpb.Names{Names: names}}}, err
}

func (s *session) kvDo(ctx context.Context, handle uint64, do *pluginpb.KVDo) (*pluginpb.Reply, error) {
	st, err := at[*store](s, handle)
	if err != nil {
		return nil, err
	}
	ops := convert.ToOps(do.GetOps())
	var results []driver.Result
	if len(ops) == 1 {
		r, err := st.group.ExecuteOne(ctx, ops[0])
		if err != nil {
			r.Err = err
		}
		results = []driver.Result{r}
	} else {
		results = st.do(ctx, ops)
	}
	crowdOut(results)
	return &pluginpb.Reply{Body: &pluginpb.Reply_KvResults{KvResults: convert.FromResults(results)}}, nil
}

// crowdOut replaces values that find no room in one reply by TooLarge: the host
// reads them again. Writes have no value.
func crowdOut(results []driver.Result) {
	n := portion(results, func(r driver.Result) int { return len(r.Value) })
	for i := n; i < len(results); i++ {
		if len(results[i].Value) > 0 {
			results[i] = driver.Result{Err: fairlead.Errorf(fairlead.TooLarge, "the values read before leave no room for this one; read it again")}
		}
	}
}

func (s *session) kvStore(ctx context.Context, c *pluginpb.Call) (*pluginpb.Reply, error) {
	st, err := at[*store](s, c.Handle)
	if err != nil {
		return nil, err
	}
	switch b := c.Body.(type) {
	case *pluginpb.Call_KvTxn:
		rev, err := st.Txn(ctx, convert.ToTxn(b.KvTxn))
		return &pluginpb.Reply{Body: &pluginpb.Reply_KvTxnResult{KvTxnResult: &pluginpb.KVTxnResult{Revision: []byte(rev)}}}, err
	case *pluginpb.Call_KvList:
		page, err := st.List(ctx, driver.ListRequest{
			Prefix: string(b.KvList.GetPrefix()), Token: string(b.KvList.GetToken()), Limit: max(int(b.KvList.GetLimit()), 1),
		})
		return &pluginpb.Reply{Body: &pluginpb.Reply_KvPage{KvPage: convert.FromPage(page)}}, err
	case *pluginpb.Call_KvWatch:
		w, err := st.Watch(ctx, driver.WatchRequest{
			Prefix: string(b.KvWatch.GetPrefix()), After: driver.Revision(b.KvWatch.GetAfter()),
		})
		return s.keep(ctx, &watcher{Watcher: w}, err)
	}
	return nil, nil
}

// watcher is an open watcher.
type watcher struct {
	driver.Watcher
	rest rest[driver.Event]
}

// next returns events that find room in one reply. Those of one revision, which
// are one transaction's, stay together.
func (w *watcher) next(ctx context.Context) ([]driver.Event, error) {
	return w.rest.next(func() ([]driver.Event, error) { return w.Next(ctx) }, func(events []driver.Event) int {
		n := portion(events, func(e driver.Event) int { return len(e.Key) + len(e.Value) })
		for n < len(events) && events[n].Revision == events[n-1].Revision {
			n++
		}
		return n
	})
}

func (s *session) kvNext(ctx context.Context, handle uint64) (*pluginpb.Reply, error) {
	w, err := at[*watcher](s, handle)
	if err != nil {
		return nil, err
	}
	events, err := w.next(ctx)
	return &pluginpb.Reply{Body: &pluginpb.Reply_KvEvents{KvEvents: convert.FromEvents(events)}}, err
}
