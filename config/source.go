package config

import (
	"context"
	"fmt"
	"iter"
	"math/rand/v2"
	"time"

	"fairlead.dev"
	"fairlead.dev/config/driver"
	"fairlead.dev/internal/await"
	"fairlead.dev/internal/handle"
)

// Source is the settings of one name on one provider: keys with bytes. All
// methods may be called concurrently. Slices that are passed in are not kept.
//
// Errors are [*fairlead.Error] values: Unavailable, PermissionDenied,
// Canceled, DeadlineExceeded, Closed and Internal from any method, and Unsupported
// while a requirement does not hold; a Next that waits ends with it.
type Source struct {
	driver   driver.Source
	provider string
	name     string
	facet    fairlead.FacetDescription
	quiet    quietPeriod
	calls    *calls
}

// Open returns the settings of that name: 1–128 of the characters A–Z a–z 0–9
// . _ -, the first of them a letter or digit. A name under which nothing was
// ever set is an empty source. The context bounds only the opening. The source
// does not own the provider; close the source before the provider.
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
	return s, handle.Annotate(err, op, d.Provider, objectOf(name), "")
}

func openSource(ctx context.Context, p fairlead.Provider, d fairlead.Description, name string, opts []SourceOption) (*Source, error) {
	o, err := readSourceOptions(opts)
	if err != nil {
		return nil, err
	}
	if err := handle.ValidateName("source", name); err != nil {
		return nil, err
	}
	facet, ok := Describe(d)
	if !ok {
		return nil, errNotOffered(d)
	}
	if err := fairlead.CheckRequirements(facet, o.require); err != nil {
		return nil, err
	}
	src, err := openDriver(ctx, p, d, name)
	if err != nil {
		return nil, err
	}
	if facet.Has(Snapshot) {
		o.quiet = quietPeriod{}
	}
	return &Source{driver: src, provider: d.Provider, name: name, facet: facet, quiet: o.quiet, calls: newCalls(watchRequirements(p, d.Generation, o.require))}, nil
}

// watchRequirements checks what a source requires with every description of the
// provider. It returns nil for no requirements.
func watchRequirements(p fairlead.Provider, generation uint64, reqs []fairlead.Requirement) *handle.Requirements {
	if len(reqs) == 0 {
		return nil
	}
	return handle.WatchRequirements(p, generation, func(d fairlead.Description) error {
		facet, ok := Describe(d)
		if !ok {
			return errNotOffered(d)
		}
		return fairlead.CheckRequirements(facet, reqs)
	})
}

// openDriver opens the provider's own source, or a source over its kv facet.
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

// objectOf names a source in an error.
func objectOf(source string) string { return fmt.Sprintf("source %q", source) }

func (s *Source) annotate(err error, op string) error {
	return handle.Annotate(err, op, s.provider, objectOf(s.name), "")
}

// Name returns the name that the source was opened with.
func (s *Source) Name() string { return s.name }

// Describe returns the description that held when the source was opened.
func (s *Source) Describe() fairlead.FacetDescription { return s.facet }

// Snapshot returns the present state. Where the claim [Snapshot] holds, all
// values belong to one moment.
func (s *Source) Snapshot(ctx context.Context) (State, error) {
	return s.readState(ctx, "config.Snapshot", s.driver.Snapshot)
}

// Next blocks until the version differs from the one given, and returns the
// state then; with an empty version it returns the present state. States may be
// skipped, but the last one is always reached. While the backend cannot be
// reached, Next fails with Unavailable within seconds; call it again with the
// same version.
func (s *Source) Next(ctx context.Context, version string) (State, error) {
	return s.readState(ctx, "config.Next", func(ctx context.Context) (driver.Snapshot, error) {
		for pause := (backoff{}); ; pause.wait(ctx) {
			state, err := s.driver.Next(ctx, version)
			if err == nil {
				state, err = s.quiet.awaitQuiet(ctx, s.driver, state)
			}
			if err != nil || state.Version != version { // a change may be reverted
				return state, err
			}
		}
	})
}

func (s *Source) readState(ctx context.Context, op string, read func(context.Context) (driver.Snapshot, error)) (State, error) {
	var state driver.Snapshot
	err := s.calls.run(ctx, func(ctx context.Context) (err error) {
		state, err = read(ctx)
		return err
	})
	if err != nil {
		return State{}, s.annotate(readError(ctx, err), op)
	}
	return newState(state), nil
}

// Get returns one setting, or a NotFound error. An empty value is found. To
// read several settings of one moment, use Snapshot.
func (s *Source) Get(ctx context.Context, key string) (Value, error) {
	const op = "config.Get"
	if err := checkKey(key); err != nil {
		return Value{}, s.annotate(err, op)
	}
	state, err := s.readState(ctx, op, s.driver.Snapshot)
	if err != nil {
		return Value{}, err
	}
	v, ok := state.Values[key]
	if !ok {
		return Value{}, s.annotate(fairlead.Errorf(fairlead.NotFound, "no setting %q", key), op)
	}
	return v, nil
}

// Set makes changes and returns the version of a state that includes them. The
// state may also include changes of others. The version is empty if the changes are
// made and the state cannot be read; Next returns the present state for it.
//
// Where [AtomicSet] is claimed, all changes are made or none, and a failure
// other than UnknownOutcome means none. Elsewhere they are made one by one up
// to the first that fails; if some were made by then, the error is
// UnknownOutcome.
//
// Errors also: Conflict if the key of a [Create] exists, or a checked change met
// another version; UnknownOutcome; Unsupported if [Write] or, for a Create or a
// checked change, [CompareAndSet] is not claimed; Invalid for a bad or repeated
// key, an empty version, or no change at all; TooLarge.
func (s *Source) Set(ctx context.Context, changes ...Change) (version string, err error) {
	const op = "config.Set"
	all, err := driverChanges(s.facet, changes)
	if err != nil {
		return "", s.annotate(err, op)
	}
	err = s.calls.run(ctx, func(ctx context.Context) (err error) {
		version, err = s.driver.Set(ctx, all)
		return err
	})
	return version, s.annotate(err, op)
}

// Watch returns an iterator over the states that differ from the version
// given; with an empty version it begins with the present state. A temporary
// failure, for example while the backend cannot be reached, is yielded as an
// error, once for each attempt. The iteration continues after it, with pauses
// that grow up to two seconds. It ends when the context ends or the source is
// closed; that error is yielded last.
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
	return s.annotate(s.driver.Close(ctx), "config.Close")
}

// backoff is a growing pause between attempts. The zero value is ready.
type backoff struct{ last time.Duration }

const (
	firstPause = 100 * time.Millisecond
	maxPause   = 2 * time.Second
)

// wait pauses, or returns when the context ends. The pause is up to a fifth
// shorter than planned, so that many watchers do not come back at once.
func (b *backoff) wait(ctx context.Context) {
	b.last = min(max(2*b.last, firstPause), maxPause)
	await.Pause(ctx, b.last-rand.N(b.last/5))
}
