package providers

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"strings"
	"sync"
)

// Scheme is what a provider's package registers: how URLs of one scheme are
// opened.
type Scheme struct {
	Name     string // of the URL, as "redis"
	Help     string // one line, with an example of a URL
	Settings []Setting
	// Open connects, probes, and returns a provider whose Describe is true.
	// It fails rather than return a provider that cannot reach its backend.
	Open func(ctx context.Context, s Settings) (Provider, error)
}

var registry = struct {
	sync.RWMutex
	schemes   map[string]Scheme
	resolvers []Resolver
}{schemes: map[string]Scheme{}}

// Resolver finds a scheme that no linked package has registered, as one that
// a plugin offers. It returns false if it does not know the name, and an error
// if it does and cannot offer it.
type Resolver func(ctx context.Context, name string) (Scheme, bool, error)

// RegisterResolver makes [Open] ask r for schemes that are not registered,
// after the resolvers that were registered before it.
func RegisterResolver(r Resolver) {
	registry.Lock()
	defer registry.Unlock()
	registry.resolvers = append(registry.resolvers, r)
}

// Register makes a scheme known to [Open]. A provider's package calls it from
// init. It panics if the scheme has no name or no Open, or if the name is
// taken.
func Register(s Scheme) {
	registry.Lock()
	defer registry.Unlock()
	if s.Name == "" || s.Open == nil {
		panic("providers: Register needs a scheme's name and its Open")
	}
	if _, taken := registry.schemes[s.Name]; taken {
		panic(fmt.Sprintf("providers: scheme %q is registered twice", s.Name))
	}
	registry.schemes[s.Name] = s
}

// Schemes returns the registered schemes, ordered by name.
func Schemes() []Scheme {
	registry.RLock()
	defer registry.RUnlock()
	schemes := make([]Scheme, 0, len(registry.schemes))
	for _, s := range registry.schemes {
		schemes = append(schemes, s)
	}
	slices.SortFunc(schemes, func(a, b Scheme) int { return strings.Compare(a.Name, b.Name) })
	return schemes
}

// Option changes how [Open] opens a provider.
type Option func(*Settings) error

// WithLogger sets the logger for the rare event: a connection lost and found,
// a guarantee lost. The default is slog.Default.
func WithLogger(l *slog.Logger) Option {
	return func(s *Settings) error {
		if l == nil {
			return Errorf(Invalid, "WithLogger needs a logger, got nil; leave the option out for slog.Default")
		}
		s.Logger = l
		return nil
	}
}

// WithLookupEnv sets where the environment variables that a URL's settings name
// are looked up. The default is os.LookupEnv.
func WithLookupEnv(lookup func(name string) (value string, ok bool)) Option {
	return func(s *Settings) error {
		if lookup == nil {
			return Errorf(Invalid, "WithLookupEnv needs a function, got nil; leave the option out for os.LookupEnv")
		}
		s.lookupEnv = lookup
		return nil
	}
}

// Open connects to the backend that rawURL names and probes it. The context
// bounds the opening alone; the provider lives until it is closed.
//
// Errors: Invalid for a URL, scheme or parameter that is wrong; Unavailable
// if the backend cannot be reached; PermissionDenied if it refuses the
// credentials.
func Open(ctx context.Context, rawURL string, opts ...Option) (Provider, error) {
	scheme, settings, err := resolve(ctx, rawURL)
	if err == nil {
		err = apply(&settings, opts)
	}
	if err != nil {
		return nil, Annotate(err, "providers.Open", "")
	}
	p, err := scheme.Open(ctx, settings)
	if err != nil {
		return nil, Annotate(err, "providers.Open", scheme.Name)
	}
	return p, nil
}

func resolve(ctx context.Context, rawURL string) (Scheme, Settings, error) {
	u, err := parseURL(rawURL)
	if err != nil {
		return Scheme{}, Settings{}, err
	}
	s, err := schemeOf(ctx, u.Scheme)
	if err != nil {
		return Scheme{}, Settings{}, err
	}
	settings, err := s.Parse(rawURL)
	return s, settings, err
}

func schemeOf(ctx context.Context, name string) (Scheme, error) {
	registry.RLock()
	s, ok := registry.schemes[name]
	resolvers := registry.resolvers
	registry.RUnlock()
	if ok {
		return s, nil
	}
	for _, r := range resolvers {
		if s, ok, err := r(ctx, name); ok || err != nil {
			return s, err
		}
	}
	return Scheme{}, unknownScheme(name)
}

// Parse validates a URL against the scheme's settings. It does not look at the
// URL's scheme.
func (s Scheme) Parse(rawURL string) (Settings, error) {
	u, err := parseURL(rawURL)
	if err != nil {
		return Settings{}, err
	}
	settings, err := parseSettings(u, s.Settings)
	settings.rawURL, settings.lookupEnv, settings.Logger = rawURL, os.LookupEnv, slog.Default()
	return settings, err
}

func schemeNames() string {
	schemes := Schemes()
	if len(schemes) == 0 {
		return "none; import a provider's package, as _ \"fairlead.dev/providers/memory\""
	}
	names := make([]string, len(schemes))
	for i, s := range schemes {
		names[i] = s.Name
	}
	return strings.Join(names, ", ")
}

func unknownScheme(name string) error {
	hint := ""
	if strings.HasPrefix(name, "plugin+") {
		hint = "; to find plugins, import _ \"fairlead.dev/plugins/auto\""
	}
	return Errorf(Invalid, "unknown URL scheme %q; linked in: %s%s", name, schemeNames(), hint)
}

func apply(s *Settings, opts []Option) error {
	for _, o := range opts {
		if err := o(s); err != nil {
			return err
		}
	}
	return nil
}
