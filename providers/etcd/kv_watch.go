package etcd

import (
	"context"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"go.etcd.io/etcd/api/v3/mvccpb"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"

	"fairlead.dev"
	"fairlead.dev/kv/driver"
	"fairlead.dev/providers"
)

// watchRetry is the pause between two attempts to open a stream of changes.
const watchRetry = 50 * time.Millisecond

// watcher has a stream of its own, so that a slow reader holds the server back
// and no events are queued here: the server reads the events from its history
// when it can send them. When the stream breaks, another one continues after
// the last revision that was delivered.
type watcher struct {
	s      *store
	prefix string
	after  int64 // of the pump: the last revision that was delivered
	news   chan news
	life   *providers.Lifetime
}

// news is what the pump passes to Next.
type news struct {
	events []driver.Event
	err    error
}

// Watch implements the kv driver's Store.
func (s *store) Watch(ctx context.Context, r driver.WatchRequest) (driver.Watcher, error) {
	if err := s.life.Err(); err != nil {
		return nil, err
	}
	w := &watcher{s: s, prefix: s.prefix + r.Prefix, news: make(chan news), life: s.life.Child("watcher")}
	if err := w.setStart(ctx, r.After); err != nil {
		w.life.End()
		return nil, err
	}
	w.life.Go(w.pump)
	return w, nil
}

// setStart sets the revision after which w watches.
func (w *watcher) setStart(ctx context.Context, after driver.Revision) error {
	if after != "" {
		revision, ok := parseRevision(after)
		if !ok {
			return invalid("%q is not a revision of an etcd store", after)
		}
		w.after = revision
		return nil
	}
	r, err := w.s.p.readRange(ctx, &pb.RangeRequest{Key: w.s.entry, KeysOnly: true})
	if err == nil {
		w.after = r.Header.Revision
	}
	return err
}

// Close implements the kv driver's Watcher.
func (w *watcher) Close(context.Context) error {
	w.life.Drain()
	return nil
}

// Next implements the kv driver's Watcher.
func (w *watcher) Next(ctx context.Context) ([]driver.Event, error) {
	events, err := providers.Retry(ctx, w.life, providers.Patience{}, w.receive)
	if fairlead.CodeOf(err) == fairlead.Compacted {
		w.life.Fail(err)
	}
	return events, err
}

// receive waits for news of the pump.
func (w *watcher) receive(ctx context.Context) ([]driver.Event, bool, error) {
	select {
	case n := <-w.news:
		return n.events, n.err == nil, n.err
	case <-ctx.Done():
		return nil, false, fairlead.ContextError(ctx)
	}
}

// pump reads streams until the watcher is closed or its history is gone.
func (w *watcher) pump() {
	for {
		err := w.readStream()
		if w.life.Err() != nil || !w.handOver(news{err: err}) || fairlead.CodeOf(err) == fairlead.Compacted {
			return
		}
		if !providers.Pause(w.life.Context(), watchRetry) {
			return
		}
	}
}

// handOver passes news to Next, and returns false if the watcher was closed.
func (w *watcher) handOver(n news) bool {
	select {
	case w.news <- n:
		return true
	case <-w.life.Done():
		return false
	}
}

// readStream reads one stream to its end. A member without a leader ends its
// streams, so that a watch does not hang on a member that was cut off.
func (w *watcher) readStream() error {
	ctx, cancel := context.WithCancel(clientv3.WithRequireLeader(w.life.Context()))
	defer cancel()
	stream, err := w.s.p.watch.Watch(ctx)
	if err != nil {
		return streamEnded(ctx, err)
	}
	err = stream.Send(&pb.WatchRequest{RequestUnion: &pb.WatchRequest_CreateRequest{CreateRequest: &pb.WatchCreateRequest{
		Key: []byte(w.prefix), RangeEnd: prefixEnd(w.prefix), StartRevision: w.after + 1,
	}}})
	for err == nil {
		var resp *pb.WatchResponse
		if resp, err = stream.Recv(); err == nil {
			err = w.deliver(ctx, resp)
		}
	}
	return streamEnded(ctx, err)
}

// deliver passes a response of the stream to Next.
func (w *watcher) deliver(ctx context.Context, resp *pb.WatchResponse) error {
	switch {
	case resp.CompactRevision != 0:
		return fairlead.Errorf(fairlead.Compacted, "the history was compacted up to revision %d, after %d was delivered", resp.CompactRevision, w.after)
	case resp.Canceled:
		return fairlead.Errorf(fairlead.Unavailable, "the server ended the watch: %s", resp.CancelReason)
	case resp.Created && resp.Header.Revision < w.after:
		// A follower may lag; a cluster that lags has lost its history.
		return w.s.checkHistory(ctx, w.after)
	case len(resp.Events) == 0:
		return nil
	}
	events := make([]driver.Event, len(resp.Events))
	for i, e := range resp.Events {
		var err error
		if events[i], err = w.decodeEvent(e); err != nil {
			return err
		}
	}
	if w.handOver(news{events: events}) {
		w.after = resp.Events[len(resp.Events)-1].Kv.ModRevision
	}
	return nil
}

func (w *watcher) decodeEvent(e *mvccpb.Event) (driver.Event, error) {
	ev := driver.Event{Kind: driver.DeleteEvent, Key: w.s.name(e.Kv.Key), Revision: formatRevision(e.Kv.ModRevision)}
	if e.Type == mvccpb.Event_DELETE {
		return ev, nil
	}
	v, _, err := decodeValue(e.Kv)
	ev.Kind, ev.Value = driver.PutEvent, v
	return ev, err
}
