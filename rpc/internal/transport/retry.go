package transport

import (
	"context"
	"time"

	"fairlead.dev"
	"fairlead.dev/internal/await"
)

// EndsServer reports whether an error of a driver ends a server, because no later
// attempt can succeed. After every other error the server goes on.
func EndsServer(err error) bool {
	switch fairlead.CodeOf(err) {
	case fairlead.Closed, fairlead.Invalid, fairlead.Unsupported, fairlead.PermissionDenied:
		return true
	}
	return false
}

const (
	firstPause   = 100 * time.Millisecond
	longestPause = time.Second
)

// RetryPause is the pause between attempts to reach the backend. It doubles with
// each failure in a row. The zero value is ready for use.
type RetryPause struct{ next time.Duration }

// Wait waits until the next attempt, or until ctx ends.
func (p *RetryPause) Wait(ctx context.Context) {
	p.next = max(p.next, firstPause)
	await.Pause(ctx, p.next)
	p.next = min(2*p.next, longestPause)
}

// Reset notes that an attempt has succeeded.
func (p *RetryPause) Reset() { p.next = 0 }
