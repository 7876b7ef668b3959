package config

import (
	"context"
	"iter"
	"math/rand/v2"
	"time"

	"fairlead.dev"
	"fairlead.dev/config/driver"
)

// State is all that a [Source] holds at one time. Its Version is opaque and
// never the same for different values. Whoever receives one owns it.
type State = driver.Snapshot

// Value is one setting of a [State].
type Value = driver.Value

// Source is the settings of one name on one provider, as keys with bytes. All
// methods may be called concurrently. Slices that are passed in are not kept.
//
// Errors are [*fairlead.Error] values: Unavailable, PermissionDenied,
// Canceled, DeadlineExceeded, Closed and Internal from any method.
type Source struct {
	driver   driver.Source
	provider string
	name     string
	facet    fairlead.FacetDescription
	quiet    time.Duration // 0 if it is of no use
	calls    *calls
}

// SourceOption changes how [Open] and [From] open a source.
type SourceOption func(*sourceSettings) error

type sourceSettings struct {
	required []fairlead.Requirement
	quiet    time.Duration
}

// Require makes the opening fail with Unsupported, naming what is missing,
// unless the source meets all requirements. [Describe] tells beforehand.
func Require(r ...fairlead.Requirement) SourceOption {
	return func(s *sourceSettings) error {
		for _, one := range r {
			if one == nil {
				return fairlead.Errorf(fairlead.Invalid, "Require got a nil requirement; leave it out")
			}
		}
		s.required = append(s.required, r...)
		return nil
	}
}

// Open returns the settings of that name: 1–128 of the characters A–Z a–z 0–9
// . _ -, the first of them a letter or digit. A name under which nothing was
// ever set is an empty source. The context bounds the opening alone. The
// source does not own the provider; close it before the provider.
//
// Errors also: Invalid for the name or an option; Unsupported if the provider
// has no configuration, or lacks what is required.
func Open(ctx context.Context, p fairlead.Provider, name string, opts ...SourceOption) (*Source, error) {
	const op = "config.Open"
	if p == nil {
		return nil, fairlead.Annotate(fairlead.Errorf(fairlead.Invalid, "the provider is nil; pass one from fairlead.Open"), op, "")
	}
	d, err := p.Describe(ctx)
	if err != nil {
		return nil, fairlead.Annotate(err, op, "")
	}
	s, err := openSource(ctx, p, d, name, opts)
	return s, fairlead.Annotate(err, op, d.Provider)
}

func openSource(ctx context.Context, p fairlead.Provider, d fairlead.Description, name string, opts []SourceOption) (*Source, error) {
	var settings sourceSettings
	for _, o := range opts {
		if err := o(&settings); err != nil {
			return nil, err
		}
	}
	if err := checkName(name); err != nil {
		return nil, err
	}
	facet, ok := Describe(d)
	if !ok {
		return nil, notOffered(d)
	}
	if err := fairlead.CheckAll(facet, settings.required); err != nil {
		return nil, err
	}
	src, err := openDriver(ctx, p, d, name)
	if err != nil {
		return nil, err
	}
	if facet.Has(Snapshot) {
		settings.quiet = 0
	}
	return &Source{driver: src, provider: d.Provider, name: name, facet: facet, quiet: settings.quiet, calls: newCalls()}, nil
}

func openDriver(ctx context.Context, p fairlead.Provider, d fairlead.Description, name string) (driver.Source, error) {
	if _, own := d.Facet(fairlead.Config); !own {
		store, _ := d.Facet(fairlead.KV)
		return openKVSource(ctx, p, name, store)
	}
	cp, ok := p.(driver.Provider)
	if !ok {
		return nil, fairlead.Errorf(fairlead.Internal, "the provider describes the config facet but does not implement it")
	}
	return cp.OpenSource(ctx, driver.SourceConfig{Name: name})
}

// Name returns the name that the source was opened with.
func (s *Source) Name() string { return s.name }

// Describe returns what held for the source when it was opened.
func (s *Source) Describe() fairlead.FacetDescription { return s.facet }

// Snapshot returns the present state. Where [Snapshot] is claimed, all values
// belong to one moment.
func (s *Source) Snapshot(ctx context.Context) (State, error) {
	return s.read(ctx, "config.Snapshot", s.driver.Snapshot)
}

// Next blocks until the version differs from the one given, and returns the
// state then; with an empty version it returns the present one. States may be
// passed over, the last one is always reached. While the backend is away it
// fails with Unavailable within seconds; call it again with the same version.
func (s *Source) Next(ctx context.Context, version string) (State, error) {
	return s.read(ctx, "config.Next", func(ctx context.Context) (State, error) {
		for {
			state, err := s.driver.Next(ctx, version)
			if err == nil {
				state, err = s.rest(ctx, state)
			}
			if err != nil || state.Version != version { // a change may be taken back
				return state, err
			}
		}
	})
}

func (s *Source) read(ctx context.Context, op string, f func(context.Context) (State, error)) (State, error) {
	var state State
	err := s.calls.run(ctx, func(ctx context.Context) (err error) {
		state, err = f(ctx)
		return err
	})
	if err != nil {
		return State{}, fairlead.Annotate(err, op, s.provider)
	}
	if state.Values == nil {
		state.Values = map[string]Value{}
	}
	return state, nil
}

// Get returns one setting, or a NotFound error. An empty value is found. To
// read several settings of one moment, use Snapshot.
func (s *Source) Get(ctx context.Context, key string) (Value, error) {
	const op = "config.Get"
	if err := checkKey(key); err != nil {
		return Value{}, fairlead.Annotate(err, op, s.provider)
	}
	state, err := s.read(ctx, op, s.driver.Snapshot)
	if err != nil {
		return Value{}, err
	}
	v, ok := state.Values[key]
	if !ok {
		return Value{}, fairlead.Annotate(fairlead.Errorf(fairlead.NotFound, "no setting %q", key), op, s.provider)
	}
	return v, nil
}

// Set makes changes and returns the version of a state that holds them (and,
// it may be, what others changed meanwhile).
//
// Where [AtomicSet] is claimed, all changes are made or none, and a failure
// other than UnknownOutcome means none. Elsewhere they are made one by one up
// to the first that fails; if some were made by then, the error is
// UnknownOutcome.
//
// Errors also: Conflict if a checked change met another version;
// UnknownOutcome; Unsupported if [Write] or, for a checked change,
// [CompareAndSet] is not claimed; Invalid for a bad or repeated key or no
// change at all; TooLarge.
func (s *Source) Set(ctx context.Context, changes ...Change) (version string, err error) {
	const op = "config.Set"
	if err := checkChanges(s.facet, changes); err != nil {
		return "", fairlead.Annotate(err, op, s.provider)
	}
	err = s.calls.run(ctx, func(ctx context.Context) (err error) {
		version, err = s.driver.Set(ctx, changes)
		return err
	})
	return version, fairlead.Annotate(err, op, s.provider)
}

// Watch returns an iterator over the states that differ from the version
// given: with an empty version it begins with the present one. A passing
// failure, as of a backend that is away, is yielded as an error, once for each
// attempt; the iteration goes on after it, with growing pauses of at most two
// seconds. It ends when the context ends or the source is closed, which is
// yielded last.
func (s *Source) Watch(ctx context.Context, version string) iter.Seq2[State, error] {
	return func(yield func(State, error) bool) {
		var pause backoff
		for {
			state, err := s.Next(ctx, version)
			if !yield(state, err) || ctx.Err() != nil || fairlead.CodeOf(err) == fairlead.Closed {
				return
			}
			if err != nil {
				pause.wait(ctx)
				continue
			}
			version, pause = state.Version, backoff{}
		}
	}
}

// Close releases the source. Calls that wait fail with Closed, as do later
// ones. Calls after the first return nil.
func (s *Source) Close(ctx context.Context) error {
	if !s.calls.end() {
		return nil
	}
	return fairlead.Annotate(s.driver.Close(ctx), "config.Close", s.provider)
}

// backoff is a growing pause between attempts. The zero value is ready.
type backoff struct{ last time.Duration }

const (
	firstPause = 100 * time.Millisecond
	maxPause   = 2 * time.Second
)

// wait pauses, up to a fifth shorter than planned so that many watchers do not
// come back at once, or until the context ends.
func (b *backoff) wait(ctx context.Context) {
	b.last = min(max(2*b.last, firstPause), maxPause)
	timer := time.NewTimer(b.last - rand.N(b.last/5))
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}
