package providers

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"

	"fairlead.dev"
	"fairlead.dev/internal/opening"
)

// Scheme is what a provider's package registers: how URLs of one scheme are
// opened.
type Scheme struct {
	Name     string // of the URL, for example "redis"
	Help     string // one line, with an example of a URL
	Settings []Setting
	// Open connects, probes, and returns a provider whose Describe is true.
	// It fails rather than return a provider that cannot reach its backend.
	Open func(ctx context.Context, s Settings) (fairlead.Provider, error)
	// Inspect prepares the checks of [Diagnose], and connects to nothing. Its error is
	// the one that Open would return for wrong settings. Nil: Diagnose makes the checks
	// that need no knowledge of the backend.
	Inspect func(s Settings, t Trial) (Inspection, error)
}

var registry = struct {
	sync.RWMutex
	schemes   map[string]Scheme
	resolvers []Resolver
}{schemes: map[string]Scheme{}}

// Resolver finds a scheme that no linked package has registered, for example one
// that a plugin offers. It returns false if it does not know the name, and an error
// if it does and cannot offer it.
type Resolver func(ctx context.Context, name string) (Scheme, bool, error)

// RegisterResolver makes [fairlead.Open] ask r for schemes that are not registered,
// after the resolvers that were registered before it.
func RegisterResolver(r Resolver) {
	registry.Lock()
	defer registry.Unlock()
	registry.resolvers = append(registry.resolvers, r)
}

// Register makes a scheme known to [fairlead.Open]. A provider's package calls it from
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

// LinkedScheme returns the registered scheme that a URL names, as [fairlead.Open]
// finds it. It returns false if none is registered: then a resolver may know it.
func LinkedScheme(rawURL string) (Scheme, bool) {
	u, err := parseURL(rawURL)
	if err != nil {
		return Scheme{}, false
	}
	registry.RLock()
	defer registry.RUnlock()
	s, ok := registry.schemes[u.Scheme]
	return s, ok
}

func init() {
	opening.SetOpener(func(ctx context.Context, rawURL string, o opening.Options) (any, error) {
		return open(ctx, rawURL, o)
	})
}

// open opens the provider of a URL with the scheme that the URL names.
func open(ctx context.Context, rawURL string, o opening.Options) (fairlead.Provider, error) {
	u, err := parseURL(rawURL)
	if err != nil {
		return nil, err
	}
	s, err := schemeOf(ctx, u.Scheme)
	if err != nil {
		return nil, err
	}
	return s.open(ctx, rawURL, o)
}

// OpenURL opens a URL with this scheme; it does not look at the scheme that
// the URL names. It returns the same errors as [fairlead.Open].
func (s Scheme) OpenURL(ctx context.Context, rawURL string, opts ...fairlead.Option) (fairlead.Provider, error) {
	if i := slices.Index(opts, nil); i >= 0 {
		return nil, fairlead.Annotate(fairlead.Errorf(fairlead.Invalid, "option %d of OpenURL is nil; leave it out", i+1), "", s.Name)
	}
	o, err := opening.Resolve(opts)
	if err != nil {
		return nil, fairlead.Annotate(err, "", s.Name)
	}
	return s.open(ctx, rawURL, o)
}

func (s Scheme) open(ctx context.Context, rawURL string, o opening.Options) (fairlead.Provider, error) {
	settings, err := s.Parse(rawURL)
	if err != nil {
		return nil, err
	}
	settings.Logger, settings.lookupEnv = o.Logger, o.LookupEnv
	p, err := s.Open(ctx, settings)
	if p == nil && err == nil {
		err = fairlead.Errorf(fairlead.Internal, "the scheme's Open returned no provider and no error")
	}
	if err != nil {
		return nil, fairlead.Annotate(err, "", s.Name)
	}
	return p, nil
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
	defaults := opening.Defaults()
	settings.rawURL, settings.lookupEnv, settings.Logger = rawURL, defaults.LookupEnv, defaults.Logger
	return settings, err
}

func schemeNames() string {
	schemes := Schemes()
	if len(schemes) == 0 {
		return "none"
	}
	names := make([]string, len(schemes))
	for i, s := range schemes {
		names[i] = s.Name
	}
	return strings.Join(names, ", ")
}

func unknownScheme(name string) error {
	return fairlead.Errorf(fairlead.Invalid, "unknown URL scheme %q; linked in: %s; %s", name, schemeNames(), opening.SchemeRemedy(name))
}
