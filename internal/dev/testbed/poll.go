package testbed

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// fatalError ends polling immediately.
type fatalError struct{ error }

func (e fatalError) Unwrap() error { return e.error }

func fatal(err error) error { return fatalError{err} }

// poll calls f until it returns nil or a fatal error, or until ctx ends. The
// error then names the last failure of f.
func poll(ctx context.Context, f func(context.Context) error) error {
	ticker := time.NewTicker(pollInterval)
	defer ticker.Stop()
	for {
		err := f(ctx)
		if err == nil {
			return nil
		}
		if stop := (fatalError{}); errors.As(err, &stop) {
			return stop.error
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%w (last attempt: %w)", context.Cause(ctx), err)
		case <-ticker.C:
		}
	}
}
