package service

import "sync"

// maxReplyBytes is how many bytes one reply carries. One value, message or
// transaction may exceed it. It is far below the maximum length of a frame.
const maxReplyBytes = 256 << 20

// countFitting returns how many of the items fit in one reply: at least one if
// there are any.
func countFitting[T any](items []T, size func(T) int) int {
	bytes := 0
	for i, item := range items {
		if bytes += size(item); bytes > maxReplyBytes && i > 0 {
			return i
		}
	}
	return len(items)
}

// leftover keeps the items that did not fit in a reply for the next replies.
type leftover[T any] struct {
	mu    sync.Mutex
	items []T
}

// takePortion returns the items for one reply: from the leftover items if there
// are any, and otherwise from the items that fetch returns. fitting returns how
// many of them fit.
func (l *leftover[T]) takePortion(fetch func() ([]T, error), fitting func([]T) int) ([]T, error) {
	if items := l.takeKept(fitting); items != nil {
		return items, nil
	}
	items, err := fetch()
	if err != nil || len(items) == 0 {
		return items, err
	}
	n := fitting(items)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.items = append(l.items, items[n:]...)
	return items[:n:n], nil
}

func (l *leftover[T]) takeKept(fitting func([]T) int) []T {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.items) == 0 {
		return nil
	}
	n := fitting(l.items)
	items := l.items[:n:n]
	if l.items = l.items[n:]; len(l.items) == 0 {
		l.items = nil
	}
	return items
}
