package config

import (
	"context"
	"reflect"
)

// Load reads the layers once, merges them, and returns the result decoded into a
// T, which is a struct. See the package documentation for layers, keys and
// values.
//
// Errors: Invalid, with a [*Rejected] as its cause, for settings that do not
// fit T or that its Validate refuses; Invalid for a bad option; Unavailable
// for a file that cannot be read; the errors of [Open] and [Source.Snapshot].
func Load[T any](ctx context.Context, opts ...Option) (T, error) {
	v, err := load[T](ctx, opts)
	if err != nil {
		var zero T
		return zero, annotateRejected(err, "config.Load")
	}
	return *v, nil
}

func load[T any](ctx context.Context, opts []Option) (*T, error) {
	set, err := newSetup(opts)
	if err != nil {
		return nil, err
	}
	s, err := set.open(ctx, reflect.TypeFor[T]())
	if err != nil {
		return nil, err
	}
	v, _, err := applyPending[T](s, nil)
	if closeErr := s.close(ctx); err == nil {
		err = closeErr
	}
	return v, err
}
