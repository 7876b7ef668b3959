package mutants

import (
	"context"
	"crypto/rand"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	configdriver "fairlead.dev/config/driver"
)

type nexting = func(ctx context.Context, version string) (configdriver.Snapshot, error)

// configNextMutants wait for changes wrongly.
var configNextMutants = []Mutant{
	{
		Name: "config-version-counts-keys", Breaks: "the version is the number of keys", CaughtBy: cases("config/version-changes"),
		Open: withState(func(s *configdriver.Snapshot) { s.Version = fmt.Sprint(len(s.Values)) }),
	},
	{
		Name: "config-version-random", Breaks: "every look gives another version", CaughtBy: cases("config/version-changes", "config/next-waits"),
		Open: withState(func(s *configdriver.Snapshot) { s.Version = rand.Text() }),
	},
	{
		Name: "config-next-from-now", Breaks: "Next waits for the next change, whatever version it is given",
		CaughtBy: cases("config/next-initial", "config/next-foreign-version", "config/next-never-missed"),
		Open: withNext(func(s source) nexting {
			return func(ctx context.Context, _ string) (configdriver.Snapshot, error) {
				now, err := s.portable.Snapshot(ctx)
				if err != nil {
					return now, err
				}
				return s.portable.Next(ctx, now.Version)
			}
		}),
	},
	{
		Name: "config-versions-own", Breaks: "Next waits if it is given a version of another handle", CaughtBy: cases("config/next-foreign-version"),
		Open: withNext(func(s source) nexting {
			return func(ctx context.Context, version string) (configdriver.Snapshot, error) {
				now, err := s.portable.Snapshot(ctx)
				if err == nil && version != "" {
					version = now.Version
				}
				if err != nil {
					return now, err
				}
				return s.portable.Next(ctx, version)
			}
		}),
	},
	{
		Name: "config-next-polls", Breaks: "Next returns now and then, with a new version, although nothing changed", CaughtBy: cases("config/next-waits", "config/next-cancel"),
		Open: withNext(func(s source) nexting {
			return func(ctx context.Context, version string) (configdriver.Snapshot, error) {
				short, cancel := context.WithTimeout(ctx, 50*time.Millisecond)
				defer cancel()
				state, err := s.portable.Next(short, version)
				if err == nil || ctx.Err() != nil {
					return state, err
				}
				state, err = s.portable.Snapshot(ctx)
				state.Version += "+" // package config would drop a state with the same version
				return state, err
			}
		}),
	},
	{
		Name: "config-never-wakes", Breaks: "a Next that waits does not return",
		CaughtBy: cases(
			"config/next-wakes", "config/next-two", "config/close-one", "config/watch-ends", "config/watch-typed",
			"config/watch-rejects", "config/watch-callbacks",
		),
		Open: neverWakes,
	},
	{
		Name: "config-delete-unnoticed", Breaks: "Next is not woken by a deletion", CaughtBy: cases("config/next-delete"),
		Open: withNext(func(s source) nexting {
			return func(ctx context.Context, version string) (configdriver.Snapshot, error) {
				before, err := s.portable.Snapshot(ctx)
				if err != nil {
					return before, err
				}
				for {
					state, err := s.portable.Next(ctx, version)
					if err != nil || len(state.Values) >= len(before.Values) {
						return state, err
					}
					before, version = state, state.Version
				}
			}
		}),
	},
	{
		Name: "config-next-previous", Breaks: "Next returns the state before the present one", CaughtBy: cases("config/next-last", "config/next-wakes"),
		Open: withNext(func(s source) nexting { return olderStates(s, always, always) }),
	},
	{
		Name: "config-goes-back", Breaks: "every other state that Next returns is the one from the beginning", CaughtBy: cases("config/next-last", "config/watch-callbacks"),
		Open: withNext(func(s source) nexting {
			return olderStates(s, func(call int) bool { return call%2 == 0 }, func(int) bool { return false })
		}),
	},
	{
		Name: "config-one-waits", Breaks: "of two that wait on one handle one is woken", CaughtBy: cases("config/next-two"),
		Open: withNext(func(s source) nexting {
			var waiting atomic.Int64
			return func(ctx context.Context, version string) (configdriver.Snapshot, error) {
				defer waiting.Add(-1)
				if waiting.Add(1) > 1 {
					<-ctx.Done()
				}
				return s.portable.Next(ctx, version)
			}
		}),
	},
	{
		Name: "config-next-context-ignored", Breaks: "Next waits for seconds after its context has ended", CaughtBy: cases("config/next-cancel", "config/closed"),
		Open: withNext(func(s source) nexting {
			return func(ctx context.Context, version string) (configdriver.Snapshot, error) {
				state, err := s.portable.Next(ctx, version)
				if err != nil {
					time.Sleep(2500 * time.Millisecond)
				}
				return state, err
			}
		}),
	},
	{
		Name: "config-close-all", Breaks: "the first Close closes the handles of that name, all of them", CaughtBy: cases("config/close-one"),
		Open: withSource(closesAll()),
	},
}

var neverWakes = withNext(func(s source) nexting {
	return func(ctx context.Context, version string) (configdriver.Snapshot, error) {
		if version != "" {
			<-ctx.Done()
		}
		return s.portable.Next(ctx, version)
	}
})

// olderStates returns a Next that returns the values of a kept state at the calls
// for which older is true. The kept state is at first the state before the first
// call, and after each call for which moves is true the state of that call.
func olderStates(s source, older, moves func(call int) bool) nexting {
	var mu sync.Mutex
	last, _ := s.portable.Snapshot(context.Background()) // memory does not fail here
	calls := 0
	return func(ctx context.Context, version string) (configdriver.Snapshot, error) {
		state, err := s.portable.Next(ctx, version)
		if err != nil {
			return state, err
		}
		mu.Lock()
		defer mu.Unlock()
		calls++
		given := state
		if older(calls) {
			given.Values = last.Values
		}
		if moves(calls) {
			last = state
		}
		return given, nil
	}
}

func always(int) bool { return true }

// closesAll returns a wrapper whose Close closes all sources of the same name.
func closesAll() func(source) configdriver.Source {
	var mu sync.Mutex
	byName := map[string][]source{}
	return func(s source) configdriver.Source {
		mu.Lock()
		defer mu.Unlock()
		byName[s.name] = append(byName[s.name], s)
		return closingSource{s, func(ctx context.Context) error {
			mu.Lock()
			defer mu.Unlock()
			for _, one := range byName[s.name] {
				_ = one.portable.Close(ctx)
			}
			return nil
		}}
	}
}

type closingSource struct {
	source
	close func(context.Context) error
}

func (c closingSource) Close(ctx context.Context) error { return c.close(ctx) }
