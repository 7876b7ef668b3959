package providers

import (
	"context"
	"errors"
	"maps"
	"slices"
	"sync"

	"fairlead.dev"
)

// Handle is something that was opened from a provider and can be closed.
type Handle interface {
	comparable
	Close(ctx context.Context) error
}

// Handles is the set of a provider's open handles. The zero value is an empty
// set. All methods may be called concurrently.
type Handles[T Handle] struct {
	mu     sync.Mutex
	open   map[T]struct{}
	closed bool
}

// Add adds a handle. It fails with Closed after CloseAll: the caller then closes
// the handle itself.
func (h *Handles[T]) Add(handle T) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed {
		return fairlead.Errorf(fairlead.Closed, "the provider is closed")
	}
	if h.open == nil {
		h.open = map[T]struct{}{}
	}
	h.open[handle] = struct{}{}
	return nil
}

// Remove removes a handle, and reports whether it was there. A handle's Close
// calls it.
func (h *Handles[T]) Remove(handle T) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	_, ok := h.open[handle]
	delete(h.open, handle)
	return ok
}

// All returns the open handles, in no order. The slice is the caller's.
func (h *Handles[T]) All() []T {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Collect(maps.Keys(h.open))
}

// CloseAll closes the open handles concurrently, and waits. From then on Add
// refuses. It returns the errors of all Close calls, joined; ctx bounds them as
// far as they obey it. A provider's Close calls it first.
func (h *Handles[T]) CloseAll(ctx context.Context) error {
	h.mu.Lock()
	h.closed = true
	h.mu.Unlock()
	all := h.All()
	errs := make([]error, len(all))
	var closing sync.WaitGroup
	for i, handle := range all {
		closing.Go(func() {
			errs[i] = handle.Close(ctx)
			h.Remove(handle)
		})
	}
	closing.Wait()
	return errors.Join(errs...)
}
