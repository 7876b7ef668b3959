package service

import (
	"context"

	"fairlead.dev/internal/portable"
	"fairlead.dev/kv/driver"
	"fairlead.dev/plugins/internal/convert"
	"fairlead.dev/plugins/internal/pluginpb/fairlead/plugin/v1"
	"fairlead.dev/providers"
)

// store is an open store. Operations that hosts send one by one are gathered
// into pipelines here; those that come together already are.
type store struct {
	driver.Store
	group *portable.Group[driver.Op, driver.Result]
}

func (s *store) Close(ctx context.Context) error {
	err := s.Store.Close(ctx)
	_ = s.group.Close(ctx) // nothing runs any more
	return err
}

func (s *session) limits(ctx context.Context, f providers.Facet) (providers.Limits, error) {
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
		return s.openStore(ctx, p, b.KvOpenStore.GetName())
	case *pluginpb.Call_KvStores:
		return names(p.Stores(ctx, b.KvStores.GetPrefix()))
	case *pluginpb.Call_KvDeleteStore:
		return &pluginpb.Reply{}, p.DeleteStore(ctx, b.KvDeleteStore.GetName())
	}
	return nil, nil
}

func (s *session) openStore(ctx context.Context, p driver.Provider, name string) (*pluginpb.Reply, error) {
	limits, err := s.limits(ctx, providers.KV)
	if err != nil {
		return nil, err
	}
	st, err := p.OpenStore(ctx, driver.StoreConfig{Name: name})
	if err != nil {
		return nil, err
	}
	return s.keep(ctx, &store{st, portable.NewGroup(limits, st.Do)}, nil)
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
		r, err := st.group.Do(ctx, ops[0])
		if err != nil {
			r.Err = err
		}
		results = []driver.Result{r}
	} else {
		results = st.Do(ctx, ops)
	}
	return &pluginpb.Reply{Body: &pluginpb.Reply_KvResults{KvResults: convert.FromResults(results)}}, nil
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
		return s.keep(ctx, w, err)
	}
	return nil, nil
}

func (s *session) kvNext(ctx context.Context, handle uint64) (*pluginpb.Reply, error) {
	w, err := at[driver.Watcher](s, handle)
	if err != nil {
		return nil, err
	}
	events, err := w.Next(ctx)
	return &pluginpb.Reply{Body: &pluginpb.Reply_KvEvents{KvEvents: convert.FromEvents(events)}}, err
}
