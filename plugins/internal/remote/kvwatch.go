package remote

import (
	"context"

	"fairlead.dev"
	"fairlead.dev/kv/driver"
	"fairlead.dev/plugins/internal/convert"
	"fairlead.dev/plugins/internal/pluginpb/fairlead/plugin/v1"
)

// watcher implements the kv driver's Watcher. In a new session it resumes after
// the last event that it has read, or else after the revision that it was given,
// or else after the store's revision just before it began. If none of them is
// known, or the store is lost, it ends with Compacted.
type watcher struct {
	*handle
	prefix string
	after  driver.Revision
	began  driver.Revision // of the store when the watcher began; empty if after was given
	// volatile reports whether the store is lost with a session.
	volatile func() bool
	end      error // why the watcher has ended; nil until then
}

// Watch implements the kv driver's Store.
func (s *store) Watch(ctx context.Context, r driver.WatchRequest) (driver.Watcher, error) {
	w := &watcher{prefix: r.Prefix, after: r.After, volatile: s.p.isVolatile}
	if r.After == "" {
		page, err := s.List(ctx, driver.ListRequest{Limit: 1})
		if fairlead.CodeOf(err) != fairlead.Unsupported && err != nil {
			return nil, err
		}
		w.began = page.Revision
	}
	var err error
	if w.handle, err = newHandle(ctx, s.p, s.handle, w.openingCall); err != nil {
		return nil, err
	}
	return w, nil
}

func (w *watcher) openingCall(reason openReason) (*pluginpb.Call, error) {
	after := w.after
	if reason != firstOpen && after == "" {
		after = w.began
	}
	if reason != firstOpen && after == "" || reason == newSession && w.volatile() {
		return nil, errHistoryLost()
	}
	return &pluginpb.Call{Body: &pluginpb.Call_KvWatch{KvWatch: &pluginpb.KVWatch{Prefix: []byte(w.prefix), After: []byte(after)}}}, nil
}

func errHistoryLost() error {
	return fairlead.Errorf(fairlead.Compacted, "the plugin was restarted, and the events since then are unknown; list, and watch from the page's revision")
}

// Next implements the kv driver's Watcher.
func (w *watcher) Next(ctx context.Context) ([]driver.Event, error) {
	if w.end != nil {
		return nil, w.end
	}
	w.p.awaitSession(ctx)
	r, err := w.callNext(ctx, &pluginpb.Call{Body: &pluginpb.Call_KvNext{KvNext: &pluginpb.KVNext{}}})
	switch fairlead.CodeOf(err) {
	case 0:
	case fairlead.Compacted, fairlead.Closed, fairlead.Invalid: // Invalid: the revision is from a store that is lost
		if w.end = err; fairlead.CodeOf(err) == fairlead.Invalid {
			w.end = errHistoryLost()
		}
		return nil, w.end
	default:
		return nil, err
	}
	events := convert.ToEvents(r.GetKvEvents())
	if len(events) == 0 {
		return nil, fairlead.Errorf(fairlead.Internal, "the plugin replied without an event")
	}
	w.after = events[len(events)-1].Revision
	return events, nil
}

// Close implements the kv driver's Watcher.
func (w *watcher) Close(ctx context.Context) error { return w.closeHandle(ctx) }
