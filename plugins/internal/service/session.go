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
	"fairlead.dev/plugins/internal/convert"
	"fairlead.dev/plugins/internal/pluginpb/fairlead/plugin/v1"
)

// session is one opening of a backend by a host.
type session struct {
	id       uint64
	token    []byte
	provider fairlead.Provider
	log      *slog.Logger

	life       context.Context
	endLife    context.CancelFunc
	attached   atomic.Bool
	unattached *time.Timer
	ended      chan struct{} // closed when all is closed
	closing    atomic.Bool
	closeErr   error

	mu      sync.Mutex
	last    uint64
	handles map[uint64]closer // nil when the session ends
}

// closer is anything that a handle names.
type closer interface{ Close(context.Context) error }

func newSession(id uint64, token []byte, p fairlead.Provider, log *slog.Logger) *session {
	s := &session{
		id: id, token: token, provider: p, log: log,
		ended: make(chan struct{}), handles: map[uint64]closer{},
	}
	s.life, s.endLife = context.WithCancel(context.Background())
	return s
}

// attach reports whether it is the first call.
func (s *session) attach() bool {
	s.unattached.Stop()
	return !s.attached.Swap(true)
}

// close ends all calls, closes all handles and the provider. Concurrent calls
// wait for the first, as long as their contexts allow.
func (s *session) close(ctx context.Context) error {
	if !s.closing.Swap(true) {
		s.closeAll(ctx)
		return s.closeErr
	}
	select {
	case <-s.ended:
		return s.closeErr
	case <-ctx.Done():
		return fairlead.ContextError(ctx)
	}
}

func (s *session) closeAll(ctx context.Context) {
	defer close(s.ended)
	s.unattached.Stop()
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

// keep gives an open thing a handle.
func (s *session) keep(ctx context.Context, c closer, err error) (*pluginpb.Reply, error) {
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.handles == nil {
		go c.Close(context.WithoutCancel(ctx))
		return nil, fairlead.Errorf(fairlead.Closed, "the session is closed")
	}
	s.last++
	s.handles[s.last] = c
	return &pluginpb.Reply{Handle: s.last}, nil
}

// release closes a handle. One that is not there is no error.
func (s *session) release(ctx context.Context, id uint64) error {
	s.mu.Lock()
	c, ok := s.handles[id]
	delete(s.handles, id)
	s.mu.Unlock()
	if !ok {
		return nil
	}
	return c.Close(ctx)
}

// at returns what a handle names, as the type that the call is for.
func at[H any](s *session, id uint64) (H, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c, ok := s.handles[id]
	h, fits := c.(H)
	switch {
	case !ok:
		return h, fairlead.Errorf(fairlead.Closed, "there is no handle %d in this session", id)
	case !fits:
		return h, fairlead.Errorf(fairlead.Invalid, "the handle %d is of another kind than the call", id)
	}
	return h, nil
}

// driverOf returns the provider as the interface of a facet's driver.
func driverOf[D any](s *session) (D, error) {
	d, ok := s.provider.(D)
	if !ok {
		return d, fairlead.Errorf(fairlead.Unsupported, "this provider does not offer the facet of the call")
	}
	return d, nil
}

// handle carries out a call. A panic of the driver fails the call alone.
func (s *session) handle(ctx context.Context, c *pluginpb.Call) (r *pluginpb.Reply) {
	err := s.surviving(func() (err error) {
		r, err = s.dispatch(traced(ctx, c), c)
		return err
	})
	if err != nil {
		r = &pluginpb.Reply{Error: convert.FromError(err)}
	}
	if s.ending() {
		s.excuse(r)
	}
	return r
}

// surviving makes a panic of the driver an error.
func (s *session) surviving(f func() error) (err error) {
	defer func() {
		if v := recover(); v != nil {
			s.log.Error("a driver panicked", "panic", fmt.Sprint(v), "stack", string(debug.Stack()))
			err = fairlead.Errorf(fairlead.Internal, "the driver panicked: %v", v)
		}
	}()
	return f()
}

// each makes a driver's call on several operations safe in a goroutine that
// serves them all: whatever the driver does, each gets a result.
func each[Op, Res any](s *session, call func(context.Context, []Op) []Res, failed func(error) Res) func(context.Context, []Op) []Res {
	return func(ctx context.Context, ops []Op) (results []Res) {
		err := s.surviving(func() error {
			if results = call(ctx, ops); len(results) != len(ops) {
				return fairlead.Errorf(fairlead.Internal, "the driver answered %d operations with %d results", len(ops), len(results))
			}
			return nil
		})
		if err != nil {
			return slices.Repeat([]Res{failed(err)}, len(ops))
		}
		return results
	}
}

func (s *session) ending() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.handles == nil
}

// excuse changes what the end of the session makes calls fail with. It is the
// plugin that ends, and not the host that closed a handle or gave up: to the
// host the plugin is unavailable, and it goes on with another.
func (s *session) excuse(r *pluginpb.Reply) {
	for _, e := range errorsOf(r) {
		if e != nil && (e.Code == pluginpb.Code_CODE_CLOSED || e.Code == pluginpb.Code_CODE_CANCELED && s.life.Err() != nil) {
			e.Code, e.Message = pluginpb.Code_CODE_UNAVAILABLE, "the plugin is ending"
		}
	}
}

func errorsOf(r *pluginpb.Reply) []*pluginpb.Error {
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
