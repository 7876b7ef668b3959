package service

import (
	"context"
	"fmt"
	"log/slog"
	"runtime/debug"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"fairlead.dev"
	"fairlead.dev/plugins/internal/pluginpb/fairlead/plugin/v1"
)

// session is one opening of a backend by a host.
type session struct {
	id       uint64
	token    []byte
	provider fairlead.Provider
	log      *slog.Logger

	life        context.Context // of all calls
	endLife     context.CancelFunc
	attached    atomic.Bool
	attachTimer *time.Timer  // closes a session that no host attaches to
	describing  atomic.Int32 // calls of Describe that wait
	closing     atomic.Bool
	closed      chan struct{} // closed when everything in the session is
	closeErr    error

	mu         sync.Mutex
	lastHandle uint64
	handles    map[uint64]closer // nil once the session is closing
}

// closer is what a handle stands for: a store, a stream and so on.
type closer interface{ Close(context.Context) error }

func newSession(id uint64, token []byte, p fairlead.Provider, log *slog.Logger) *session {
	s := &session{
		id: id, token: token, provider: p, log: log,
		closed: make(chan struct{}), handles: map[uint64]closer{},
	}
	s.life, s.endLife = context.WithCancel(context.Background())
	return s
}

// markAttached reports whether this is the first call of markAttached.
func (s *session) markAttached() bool {
	s.attachTimer.Stop()
	return !s.attached.Swap(true)
}

// close closes all handles and the provider, and ends all calls. Concurrent
// calls of close wait for the first one until their contexts end.
func (s *session) close(ctx context.Context) error {
	if !s.closing.Swap(true) {
		s.closeAll(ctx)
		return s.closeErr
	}
	select {
	case <-s.closed:
		return s.closeErr
	case <-ctx.Done():
		return fairlead.ContextError(ctx)
	}
}

func (s *session) closeAll(ctx context.Context) {
	defer close(s.closed)
	s.attachTimer.Stop()
	s.mu.Lock()
	handles := s.handles
	s.handles = nil
	s.mu.Unlock()
	var wg sync.WaitGroup
	for _, h := range handles {
		wg.Go(func() { _ = h.Close(ctx) })
	}
	wg.Wait()
	s.closeErr = s.provider.Close(ctx)
	s.endLife()
}

// registerHandle replies with a new handle for c, which was just opened. It
// returns err if that is not nil.
func (s *session) registerHandle(ctx context.Context, c closer, err error) (*pluginpb.Reply, error) {
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.handles == nil {
		go c.Close(context.WithoutCancel(ctx))
		return nil, fairlead.Errorf(fairlead.Closed, "the session is closed")
	}
	if len(s.handles) >= maxHandles {
		go c.Close(context.WithoutCancel(ctx))
		return nil, fairlead.Errorf(fairlead.Unavailable, "the session has %d open handles, the most that it holds; close what is not used", maxHandles)
	}
	s.lastHandle++
	s.handles[s.lastHandle] = c
	return &pluginpb.Reply{Handle: s.lastHandle}, nil
}

// closeHandle closes a handle. An unknown handle is not an error.
func (s *session) closeHandle(ctx context.Context, c *pluginpb.Call) (*pluginpb.Reply, error) {
	s.mu.Lock()
	h, ok := s.handles[c.Handle]
	delete(s.handles, c.Handle)
	s.mu.Unlock()
	if !ok {
		return &pluginpb.Reply{}, nil
	}
	return &pluginpb.Reply{}, h.Close(ctx)
}

// findHandle returns what a handle stands for, as the type that the call needs.
func findHandle[H any](s *session, id uint64) (H, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c, ok := s.handles[id]
	h, fits := c.(H)
	switch {
	case !ok:
		return h, fairlead.Errorf(fairlead.Closed, "the session has no handle %d: it was closed, or was never opened", id)
	case !fits:
		return h, fairlead.Errorf(fairlead.Invalid, "the call cannot be made on the handle %d, which is of another kind", id)
	}
	return h, nil
}

// driverFor returns the provider as the interface of a facet's driver.
func driverFor[D any](s *session) (D, error) {
	d, ok := s.provider.(D)
	if !ok {
		return d, fairlead.Errorf(fairlead.Unsupported, "the provider does not offer the facet of this call")
	}
	return d, nil
}

// recoverPanic calls f, and returns a panic of the driver as an error.
func (s *session) recoverPanic(f func() error) (err error) {
	defer func() {
		if v := recover(); v != nil {
			s.log.Error("a driver panicked", "panic", fmt.Sprint(v), "stack", string(debug.Stack()))
			err = fairlead.Errorf(fairlead.Internal, "the driver panicked: %v", v)
		}
	}()
	return f()
}

// guardBatch wraps a driver's batch call so that every operation gets a result,
// even if the driver panics or returns a wrong number of results.
func guardBatch[Op, Res any](s *session, call func(context.Context, []Op) []Res, failed func(error) Res) func(context.Context, []Op) []Res {
	return func(ctx context.Context, ops []Op) (results []Res) {
		err := s.recoverPanic(func() error {
			if results = call(ctx, ops); len(results) != len(ops) {
				return fairlead.Errorf(fairlead.Internal, "the driver returned %d results for %d operations", len(results), len(ops))
			}
			return nil
		})
		if err != nil {
			return slices.Repeat([]Res{failed(err)}, len(ops))
		}
		return results
	}
}

func (s *session) isClosing() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.handles == nil
}

// reportEnding changes the errors of calls that failed because the session is
// ending to Unavailable. It is the plugin that ends: the host has neither closed
// a handle nor given up, and continues with another plugin.
func (s *session) reportEnding(r *pluginpb.Reply) {
	for _, e := range errorsIn(r) {
		if e != nil && (e.Code == pluginpb.Code_CODE_CLOSED || e.Code == pluginpb.Code_CODE_CANCELED && s.life.Err() != nil) {
			e.Code, e.Message = pluginpb.Code_CODE_UNAVAILABLE, "the plugin is ending"
		}
	}
}

func errorsIn(r *pluginpb.Reply) []*pluginpb.Error {
	all := []*pluginpb.Error{r.Error}
	for _, one := range r.GetKvResults().GetResults() {
		all = append(all, one.Error)
	}
	for _, one := range r.GetPubsubSendResults().GetResults() {
		all = append(all, one.Error)
	}
	for _, one := range r.GetPubsubSettled().GetFailures() {
		all = append(all, one.Error)
	}
	return all
}
