package providers

import (
	"context"
	"time"

	"fairlead.dev/internal/await"
)

// Signal wakes all goroutines that wait for a change. It costs nothing while none
// waits. The lock that guards what changes guards the Signal, too. The zero
// value is ready for use.
type Signal struct{ signal await.Signal }

// Next returns a channel that the next call of Fire closes.
func (s *Signal) Next() <-chan struct{} { return s.signal.Next() }

// Fire wakes all goroutines that wait.
func (s *Signal) Fire() { s.signal.Fire() }

// TakeInbox empties the inbox of a stream, and returns what was in it: the slice belongs
// to the caller. If there was nothing, it returns the reason why nothing more comes or,
// if that is nil, a channel that the next Fire of changed closes. The lock that guards
// the inbox must be held.
func TakeInbox[T any](inbox *[]T, ended error, changed *Signal) (taken []T, next <-chan struct{}, err error) {
	switch {
	case len(*inbox) > 0:
		taken, *inbox = *inbox, nil
		return taken, nil, nil
	case ended != nil:
		return nil, nil, ended
	}
	return nil, changed.Next(), nil
}

// Pause waits for d, and returns false if ctx ends first.
func Pause(ctx context.Context, d time.Duration) bool { return await.Pause(ctx, d) }

// Trigger asks one goroutine to do something soon, for example to probe:
// see [Probing]. Requests that come before it does are one. All methods may be
// called concurrently.
type Trigger struct{ requests chan struct{} }

// NewTrigger returns a Trigger.
func NewTrigger() Trigger { return Trigger{make(chan struct{}, 1)} }

// Fire makes a request, unless there is one. It does not block.
func (t Trigger) Fire() {
	select {
	case t.requests <- struct{}{}:
	default:
	}
}

// Fired returns the channel from which the goroutine takes the requests.
func (t Trigger) Fired() <-chan struct{} { return t.requests }
