package config

import (
	"context"
	"reflect"

	"fairlead.dev"
)

// Option is a [Layer], or changes how [Load] and [Watch] read the layers.
type Option interface{ apply(*setup) error }

type optionFunc func(*setup) error

func (f optionFunc) apply(s *setup) error { return f(s) }

// setup is what the options set.
type setup struct {
	layers  []Layer
	strict  bool
	reveal  bool
	onError []func(error)
}

// Strict makes a key that names no field an error. The struct must then have a
// field for every key of each source, and for every environment variable with
// the prefix.
func Strict() Option {
	return optionFunc(func(s *setup) error { s.strict = true; return nil })
}

// OnError registers a function to call after every rejected update ([*Rejected]
// is in the error's chain), when a layer becomes unreachable, and after every
// panic of a callback. [Load] ignores it. The calls are in order and never
// concurrent, neither with each other nor with the callbacks of
// [Watcher.OnChange]. Until a call returns, no further update is applied.
func OnError(f func(error)) Option {
	return optionFunc(func(s *setup) error {
		if f == nil {
			return fairlead.Errorf(fairlead.Invalid, "OnError needs a function, got nil; leave it out")
		}
		s.onError = append(s.onError, f)
		return nil
	})
}

func newSetup(opts []Option) (setup, error) {
	var s setup
	for _, o := range opts {
		if o == nil {
			return s, fairlead.Errorf(fairlead.Invalid, "an option is nil; leave it out")
		}
		if err := o.apply(&s); err != nil {
			return s, err
		}
	}
	return s, nil
}

// open opens the layers and reads each for the first time.
func (s setup) open(ctx context.Context, t reflect.Type) (*stack, error) {
	st, err := newStack(t, s.strict)
	if err != nil {
		return nil, err
	}
	return st, s.openInto(ctx, st)
}

// openInto closes the stack if it fails.
func (s setup) openInto(ctx context.Context, st *stack) error {
	for _, l := range s.layers {
		f, err := l.open(ctx)
		if err == nil {
			err = st.addLayer(ctx, f)
		}
		if err != nil {
			_ = st.close(ctx) // the first error says more
			return err
		}
	}
	return nil
}
