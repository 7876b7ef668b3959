// Package opening connects fairlead.Open to the registry of package providers.
//
// The root package is imported by the kit, so it cannot import the kit. The kit
// sets its function here when it is initialised, and fairlead.Open calls it.
package opening

import (
	"context"
	"log/slog"
	"os"
	"sync/atomic"
)

// Options is what the options of fairlead.Open set.
type Options struct {
	Logger    *slog.Logger
	LookupEnv func(name string) (value string, ok bool)
}

// Defaults returns the options of a program that gives none.
func Defaults() Options {
	return Options{Logger: slog.Default(), LookupEnv: os.LookupEnv}
}

// applier is what every fairlead.Option implements.
type applier interface{ Apply(*Options) error }

// Resolve returns what the options of a call set. Option is fairlead.Option, a type
// that this package cannot name; none of opts is nil.
func Resolve[Option any](opts []Option) (Options, error) {
	o := Defaults()
	for _, opt := range opts {
		if err := any(opt).(applier).Apply(&o); err != nil {
			return o, err
		}
	}
	return o, nil
}

// Opener opens the provider of a URL. The provider is a fairlead.Provider, a
// type that this package cannot name.
type Opener func(ctx context.Context, rawURL string, o Options) (provider any, err error)

var opener atomic.Pointer[Opener]

// SetOpener makes open the function that fairlead.Open calls.
func SetOpener(open Opener) { opener.Store(&open) }

// CurrentOpener returns the function that was set, and nil if none was.
func CurrentOpener() Opener {
	if open := opener.Load(); open != nil {
		return *open
	}
	return nil
}
