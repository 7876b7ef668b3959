package fairlead

import (
	"context"
	"log/slog"
	"slices"
	"strings"

	"fairlead.dev/internal/opening"
)

// Option changes how [Open] opens a provider. [WithLogger] and [WithLookupEnv] make
// one.
type Option interface {
	isOption()
}

type option func(*opening.Options) error

func (option) isOption() {}

// Apply lets package opening set the option, for the kit as well.
func (f option) Apply(o *opening.Options) error { return f(o) }

// WithLogger sets the logger for rare events, for example that a connection or
// a guarantee is lost or restored. The default is slog.Default.
func WithLogger(l *slog.Logger) Option {
	return option(func(o *opening.Options) error {
		if l == nil {
			return Errorf(Invalid, "WithLogger needs a logger, got nil; leave the option out for slog.Default")
		}
		o.Logger = l
		return nil
	})
}

// WithLookupEnv sets the function that looks up the environment variables
// that a URL's settings name. The default is os.LookupEnv.
func WithLookupEnv(lookup func(name string) (value string, ok bool)) Option {
	return option(func(o *opening.Options) error {
		if lookup == nil {
			return Errorf(Invalid, "WithLookupEnv needs a function, got nil; leave the option out for os.LookupEnv")
		}
		o.LookupEnv = lookup
		return nil
	})
}

// Open connects to the backend that rawURL names and probes it. The context
// bounds the call to Open only; the provider lives until it is closed.
//
// Errors: Invalid for a URL, scheme or parameter that is wrong; Unavailable
// if the backend cannot be reached; PermissionDenied if it refuses the
// credentials.
func Open(ctx context.Context, rawURL string, opts ...Option) (Provider, error) {
	if i := slices.Index(opts, nil); i >= 0 {
		return nil, Annotate(Errorf(Invalid, "option %d is nil; leave it out", i+1), "fairlead.Open", "")
	}
	o, err := opening.Resolve(opts)
	if err != nil {
		return nil, Annotate(err, "fairlead.Open", "")
	}
	open := opening.CurrentOpener()
	if open == nil {
		scheme, _, _ := strings.Cut(rawURL, "://")
		return nil, Annotate(Errorf(Invalid, "no provider is linked in; %s", opening.SchemeRemedy(scheme)), "fairlead.Open", "")
	}
	p, err := open(ctx, rawURL, o)
	if err != nil {
		return nil, Annotate(err, "fairlead.Open", "")
	}
	return p.(Provider), nil
}
