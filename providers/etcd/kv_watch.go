package etcd

import (
	"context"
	"sync/atomic"
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
	after  atomic.Int64 // the last revision up to which everything was delivered
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
		w.after.Store(revision)
		return nil
	}
	r, err := w.s.p.readRange(ctx, &pb.RangeRequest{Key: w.s.entry, KeysOnly: true})
	if err == nil {
		w.after.Store(r.Header.Revision)
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
		Key: []byte(w.prefix), RangeEnd: prefixEnd(w.prefix), StartRevision: w.after.Load() + 1,
	}}})
	w.life.Go(func() { w.askForProgress(ctx, stream) })
	for err == nil {
		var resp *pb.WatchResponse
		if resp, err = stream.Recv(); err == nil {
			err = w.deliver(ctx, resp)
		}
	}
	return streamEnded(ctx, err)
}

// askForProgress asks, from time to time, up to which revision the server has sent
// everything, so that a watcher to which nothing happens can resume although the
// history is compacted. etcd tells by itself only every ten minutes.
func (w *watcher) askForProgress(ctx context.Context, stream pb.Watch_WatchClient) {
	for providers.Pause(ctx, w.s.p.progressEvery) {
		err := stream.Send(&pb.WatchRequest{RequestUnion: &pb.WatchRequest_ProgressRequest{ProgressRequest: &pb.WatchProgressRequest{}}})
		if err != nil {
			return // the stream has ended
		}
	}
}

// deliver passes a response of the stream to Next.
func (w *watcher) deliver(ctx context.Context, resp *pb.WatchResponse) error {
	switch {
	case resp.CompactRevision != 0:
		return fairlead.Errorf(fairlead.Compacted, "the history was compacted up to revision %d, after %d was delivered", resp.CompactRevision, w.after.Load())
	case resp.Canceled:
		return fairlead.Errorf(fairlead.Unavailable, "the server ended the watch: %s", resp.CancelReason)
	case resp.Created && resp.Header.Revision < w.after.Load():
		// A follower may lag; a cluster that lags has lost its history.
		return w.s.checkHistory(ctx, w.after.Load())
	case len(resp.Events) == 0 && resp.Created:
		return nil
	case len(resp.Events) == 0: // the progress: everything up to this revision was sent
		w.after.Store(max(w.after.Load(), resp.Header.Revision))
		return nil
	}
	events := make([]driver.Event, len(resp.Events))
	for i, e := range resp.Events {
		events[i] = w.decodeEvent(e)
	}
	if w.handOver(news{events: events}) {
		w.after.Store(resp.Events[len(resp.Events)-1].Kv.ModRevision)
	}
	return nil
}

func (w *watcher) decodeEvent(e *mvccpb.Event) driver.Event {
	ev := driver.Event{Kind: driver.DeleteEvent, Key: w.s.name(e.Kv.Key), Revision: formatRevision(e.Kv.ModRevision)}
	if e.Type != mvccpb.Event_DELETE {
		ev.Kind = driver.PutEvent
		ev.Value, _ = decodeValue(e.Kv)
	}
	return ev
}
