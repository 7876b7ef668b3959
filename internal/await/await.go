// Package await has the two ways to wait without a call: until something changes,
// and for a duration.
package await

import (
	"context"
	"time"
)

// Signal wakes all goroutines that wait for a change. It costs nothing while none
// waits. The lock that guards the changing value must also guard the Signal. The
// zero value is ready.
type Signal struct{ next chan struct{} }

// Next returns a channel that the next call of Fire closes.
func (s *Signal) Next() <-chan struct{} {
	if s.next == nil {
		s.next = make(chan struct{})
	}
	return s.next
}

// Fire wakes all goroutines that wait.
func (s *Signal) Fire() {
	if s.next != nil {
		close(s.next)
		s.next = nil
	}
}

// Pause waits for a duration. It returns false if ctx ends before.
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
