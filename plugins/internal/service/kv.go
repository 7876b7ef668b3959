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
// into batches here. Operations that arrive together are a batch already.
type store struct {
	driver.Store
	apply   func(context.Context, []driver.Op) []driver.Result
	batcher *batcher.Batcher[driver.Op, driver.Result]
}

func (st *store) Close(ctx context.Context) error {
	err := st.Store.Close(ctx)
	_ = st.batcher.Close(ctx) // no call runs any more
	return err
}

// limitsOf returns the present limits of a facet.
func (s *session) limitsOf(ctx context.Context, f fairlead.Facet) (fairlead.Limits, error) {
	d, err := s.provider.Describe(ctx)
	fd, _ := d.Facet(f)
	return fd.Limits, err
}

func (s *session) openStore(ctx context.Context, c *pluginpb.Call) (*pluginpb.Reply, error) {
	p, err := driverFor[driver.Provider](s)
	if err != nil {
		return nil, err
	}
	limits, err := s.limitsOf(ctx, fairlead.KV)
	if err != nil {
		return nil, err
	}
	st, err := p.OpenStore(ctx, driver.StoreConfig{Name: strings.Clone(c.GetKvOpenStore().GetName())})
	if err != nil {
		return nil, err
	}
	apply := guardBatch(s, st.Do, func(err error) driver.Result { return driver.Result{Err: err} })
	return s.registerHandle(ctx, &store{st, apply, batcher.New(limits, driver.Op.Size, apply)}, nil)
}

func (s *session) listStores(ctx context.Context, c *pluginpb.Call) (*pluginpb.Reply, error) {
	p, err := driverFor[driver.Provider](s)
	if err != nil {
		return nil, err
	}
	return namesReply(p.Stores(ctx, c.GetKvStores().GetPrefix()))
}

func namesReply(names []string, err error) (*pluginpb.Reply, error) {
	return &pluginpb.Reply{Body: &pluginpb.Reply_Names{Names: &pluginpb.Names{Names: names}}}, err
}

func (s *session) deleteStore(ctx context.Context, c *pluginpb.Call) (*pluginpb.Reply, error) {
	p, err := driverFor[driver.Provider](s)
	if err != nil {
		return nil, err
	}
	return &pluginpb.Reply{}, p.DeleteStore(ctx, c.GetKvDeleteStore().GetName())
}

func (s *session) applyOps(ctx context.Context, c *pluginpb.Call) (*pluginpb.Reply, error) {
	st, err := findHandle[*store](s, c.Handle)
	if err != nil {
		return nil, err
	}
	if err := checkOps(c.GetKvDo().GetOps()); err != nil {
		return nil, err
	}
	ops := convert.ToOps(c.GetKvDo().GetOps())
	var results []driver.Result
	if len(ops) == 1 {
		r, err := st.batcher.ExecuteOne(ctx, ops[0])
		if err != nil {
			r.Err = err
		}
		results = []driver.Result{r}
	} else {
		results = st.apply(ctx, ops)
	}
	limitValues(results)
	return &pluginpb.Reply{Body: &pluginpb.Reply_KvResults{KvResults: convert.FromResults(results)}}, nil
}

// limitValues replaces values that do not fit in one reply by TooLarge: the host
// reads them again. The present entries of refused writes that do not fit are
// left out.
func limitValues(results []driver.Result) {
	n := countFitting(results, valueBytes)
	for i := n; i < len(results); i++ {
		results[i].Current = nil
		if len(results[i].Value) > 0 {
			results[i] = driver.Result{Err: fairlead.Errorf(fairlead.TooLarge, "the values before this one fill the reply; read this one again")}
		}
	}
}

// valueBytes returns the size of the values that a result carries.
func valueBytes(r driver.Result) int {
	if r.Current != nil {
		return len(r.Value) + len(r.Current.Value)
	}
	return len(r.Value)
}

func (s *session) applyTxn(ctx context.Context, c *pluginpb.Call) (*pluginpb.Reply, error) {
	st, err := findHandle[*store](s, c.Handle)
	if err != nil {
		return nil, err
	}
	if err := checkOps(c.GetKvTxn().GetWrites()); err != nil {
		return nil, err
	}
	rev, err := st.Txn(ctx, convert.ToTxn(c.GetKvTxn()))
	return &pluginpb.Reply{Body: &pluginpb.Reply_KvTxnResult{KvTxnResult: &pluginpb.KVTxnResult{Revision: []byte(rev)}}}, err
}

func (s *session) listEntries(ctx context.Context, c *pluginpb.Call) (*pluginpb.Reply, error) {
	st, err := findHandle[*store](s, c.Handle)
	if err != nil {
		return nil, err
	}
	l := c.GetKvList()
	page, err := st.List(ctx, driver.ListRequest{
		Prefix: string(l.GetPrefix()), Token: string(l.GetToken()), Limit: clampLimit(l.GetLimit()),
	})
	return &pluginpb.Reply{Body: &pluginpb.Reply_KvPage{KvPage: convert.FromPage(page)}}, err
}

// watcher is an open watcher.
type watcher struct {
	driver.Watcher
	leftover leftover[driver.Event]
}

func (s *session) openWatcher(ctx context.Context, c *pluginpb.Call) (*pluginpb.Reply, error) {
	st, err := findHandle[*store](s, c.Handle)
	if err != nil {
		return nil, err
	}
	w, err := st.Watch(ctx, driver.WatchRequest{
		Prefix: string(c.GetKvWatch().GetPrefix()), After: driver.Revision(c.GetKvWatch().GetAfter()),
	})
	return s.registerHandle(ctx, &watcher{Watcher: w}, err)
}

func (s *session) nextEvents(ctx context.Context, c *pluginpb.Call) (*pluginpb.Reply, error) {
	w, err := findHandle[*watcher](s, c.Handle)
	if err != nil {
		return nil, err
	}
	events, err := w.nextPortion(ctx)
	return &pluginpb.Reply{Body: &pluginpb.Reply_KvEvents{KvEvents: convert.FromEvents(events)}}, err
}

// nextPortion returns events that fit in one reply. Events of one revision,
// which belong to one transaction, stay together.
func (w *watcher) nextPortion(ctx context.Context) ([]driver.Event, error) {
	return w.leftover.takePortion(func() ([]driver.Event, error) { return w.Next(ctx) }, func(events []driver.Event) int {
		n := countFitting(events, func(e driver.Event) int { return len(e.Key) + len(e.Value) })
		for n < len(events) && events[n].Revision == events[n-1].Revision {
			n++
		}
		return n
	})
}
