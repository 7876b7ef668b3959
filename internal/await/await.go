// Package await holds the two ways in which code of this module waits for
// something that is no answer to a call: until something changes, and for a
// while.
package await

import (
	"context"
	"time"
)

// Signal wakes everybody who waits for a change. It costs nothing while nobody
// does. It is guarded by the lock of what changes; the zero value is ready.
type Signal struct{ next chan struct{} }

// Next returns a channel that the next call of Fire closes.
func (s *Signal) Next() <-chan struct{} {
	if s.next == nil {
		s.next = make(chan struct{})
	}
	return s.next
}

// Fire wakes all who wait.
func (s *Signal) Fire() {
	if s.next != nil {
		close(s.next)
		s.next = nil
	}
}

// Pause waits for a while, and is false if ctx ends before.
func Pause(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}
