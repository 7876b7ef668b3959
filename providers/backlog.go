package providers

import (
	"context"
	"slices"
	"sync"
	"time"
)

// Backlog holds what has arrived for a handle and was not taken yet, for example
// the calls that a server has not accepted. It ends with the life of the handle.
//
// All methods may be called concurrently.
type Backlog[T any] struct {
	life *Lifetime

	mu      sync.Mutex
	items   []T // the oldest first
	arrived Signal
}

// NewBacklog returns an empty backlog of a handle with this life.
func NewBacklog[T any](life *Lifetime) *Backlog[T] { return &Backlog[T]{life: life} }

// Add adds an item. It returns false if the life has ended: the caller then keeps
// the item.
func (b *Backlog[T]) Add(item T) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.life.Err() != nil {
		return false
	}
	b.items = append(b.items, item)
	b.arrived.Fire()
	return true
}

// Take removes the oldest item and returns it. It waits for one, and fails when
// ctx or the life ends, as [Lifetime.Check] does.
func (b *Backlog[T]) Take(ctx context.Context) (T, error) {
	err := b.life.Check(ctx)
	for err == nil {
		item, arrived := b.tryTake()
		if arrived == nil {
			return item, nil
		}
		err = b.life.Wait(ctx, arrived, time.Time{})
	}
	var none T
	return none, err
}

// tryTake removes the oldest item and returns it, or returns a channel that is
// closed when an item arrives.
func (b *Backlog[T]) tryTake() (item T, arrived <-chan struct{}) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.items) == 0 {
		return item, b.arrived.Next()
	}
	item = b.items[0]
	b.items = slices.Delete(b.items, 0, 1)
	return item, nil
}

// Len returns how many items wait.
func (b *Backlog[T]) Len() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.items)
}

// End ends the life, and returns the items that were not taken, the oldest first.
// They belong to the caller.
func (b *Backlog[T]) End() []T {
	b.life.End()
	b.mu.Lock()
	defer b.mu.Unlock()
	items := b.items
	b.items = nil
	return items
}
