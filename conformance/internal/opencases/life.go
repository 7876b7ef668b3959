package opencases

import (
	"bytes"
	"context"
	"fmt"
	"runtime/pprof"
	"strconv"
	"strings"
	"sync"
	"time"

	"fairlead.dev"
	"fairlead.dev/conformance/internal/suite"
)

// lifeCases are about opening, awaiting and closing providers.
var lifeCases = []suite.Case{
	{
		Name: "open/await-differs",
		Rule: "Await returns at once for a generation that is not the present one",
		Run:  awaitDiffers,
	},
	{
		Name: "open/await-blocks",
		Rule: "Await waits for as long as the generation is the present one",
		Run:  awaitBlocks,
	},
	{
		Name: "open/await-cancel",
		Rule: "Await ends within a second of its context, with Canceled",
		Run: func(t *suite.T) {
			p := t.Provider()
			t.WantCanceled("Await", func(ctx context.Context) error { return awaitFailure(ctx, p) })
		},
	},
	{
		Name: "open/await-closed",
		Rule: "closing a provider makes an Await that waits fail with Closed",
		Run: func(t *suite.T) {
			p := t.Open()
			done := suite.RunInBackground(func() error { return awaitFailure(t.Context(), p) })
			time.Sleep(50 * time.Millisecond) // whether or not it waits by then
			t.Must(p.Close(t.Context()))
			t.WantEnd("Await", done, fairlead.Closed)
		},
	},
	{
		Name: "open/second",
		Rule: "a second Open works beside the first, and its Close does not affect the first",
		Run:  secondOpen,
	},
	{
		Name: "open/concurrent",
		Rule: "eight providers can be opened, used and closed concurrently",
		Run:  concurrentOpens,
	},
	{
		Name: "open/close-twice",
		Rule: "Close returns nil, also a second time",
		Run: func(t *suite.T) {
			p := t.Open()
			for i := range 3 {
				if err := p.Close(t.Context()); err != nil {
					t.Errorf("Close number %d: %v", i+1, err)
				}
			}
		},
	},
	{
		Name: "open/closed",
		Rule: "after Close, Describe and Await fail with Closed",
		Run: func(t *suite.T) {
			p := t.Open()
			t.Must(p.Close(t.Context()))
			_, err := p.Describe(t.Context())
			t.WantCode("Describe", err, fairlead.Closed)
			_, err = p.Await(t.Within(t.Soon()), 0)
			t.WantCode("Await", err, fairlead.Closed)
		},
	},
	{
		Name: "open/cancelled",
		Rule: "an Open whose context has ended returns at once; it succeeds or fails with Canceled",
		Run: func(t *suite.T) {
			done := suite.RunInBackground(func() error {
				ctx, cancel := context.WithCancel(t.Context())
				cancel()
				p, err := t.OpenWith(ctx)
				if err == nil {
					return p.Close(t.Context())
				}
				return err
			})
			t.WantEnd("Open with a canceled context", done, 0, fairlead.Canceled)
		},
	},
	{
		Name: "open/goroutines-handles", Timeout: 2 * time.Minute, // each facet writes a few times
		Rule: "handles that are opened and closed 50 times leave no goroutines",
		Run:  goroutinesOfHandles,
	},
	{
		Name: "open/goroutines-providers",
		Rule: "a provider that is closed leaves no goroutine",
		Run:  goroutinesOfProviders,
	},
	{
		Name: "open/as-foreign",
		Rule: "As is false for a type that no vendor's client has, and does not change the target",
		Run: func(t *suite.T) {
			target := new(foreign)
			if fairlead.As(t.Provider(), &target) || target == nil || target.touched {
				t.Errorf("As returned true for a type that it cannot know")
			}
		},
	},
}

type foreign struct{ touched bool }

// closedProviderCases returns two cases for each facet.
func closedProviderCases() []suite.Case {
	var cases []suite.Case
	for _, u := range allUsers {
		cases = append(cases, suite.Case{
			Name: string(u.facet) + "/closed-provider",
			Rule: "after a provider was closed, the handles that were opened from it fail with Closed, and so does opening more",
			Run:  func(t *suite.T) { closedUse(t, u) },
		}, suite.Case{
			Name: string(u.facet) + "/closed-provider-wakes",
			Rule: "closing a provider makes a call that waits fail with Closed",
			Run:  func(t *suite.T) { closedWakes(t, u) },
		})
	}
	return cases
}

func closedUse(t *suite.T, u user) {
	p := t.Open()
	o := openUser(t, u, p)
	t.Must(o.use(t.Context()))
	t.Must(p.Close(t.Context()))
	t.WantEnd("a call", suite.RunInBackground(func() error { return o.use(t.Context()) }), fairlead.Closed)
	_, err := u.open(t.Context(), p, t.Name())
	t.WantCode("opening", err, fairlead.Closed)
}

func closedWakes(t *suite.T, u user) {
	p := t.Open()
	o := openUser(t, u, p)
	if o.block == nil {
		t.Must(p.Close(t.Context()))
		t.WantCode("a call", o.use(t.Context()), fairlead.Closed)
		return
	}
	done := suite.RunInBackground(func() error { return o.block(t.Context()) })
	select {
	case err := <-done:
		t.Fatalf("the call that must wait ended with %v", err)
	case <-time.After(100 * time.Millisecond):
	}
	t.Must(p.Close(t.Context()))
	t.WantEnd("the call that waits", done, fairlead.Closed)
}

// awaitFailure waits until Await fails, and ignores changes until then.
func awaitFailure(ctx context.Context, p fairlead.Provider) error {
	d, err := p.Describe(ctx)
	for err == nil {
		d, err = p.Await(ctx, d.Generation)
	}
	return err
}

func awaitDiffers(t *suite.T) {
	p := t.Provider()
	d := describe(t, p)
	for _, generation := range []uint64{0, d.Generation - 1, d.Generation + 1000} {
		got, err := p.Await(t.Within(t.Soon()), generation)
		if err != nil || got.Generation == generation || got.Generation < d.Generation {
			t.Errorf("Await(%d) while the generation is %d: generation %d, %v", generation, d.Generation, got.Generation, err)
		}
	}
}

func awaitBlocks(t *suite.T) {
	d := describe(t, t.Provider())
	for ctx := t.Within(300 * time.Millisecond); ; {
		next, err := t.Provider().Await(ctx, d.Generation)
		if err != nil {
			t.WantCode("Await of the present generation", err, fairlead.DeadlineExceeded)
			return
		}
		if next.Generation == d.Generation {
			t.Fatalf("Await(%d) returned that generation", d.Generation)
		}
		d = next
	}
}

func secondOpen(t *suite.T) {
	first, second := t.Open(), t.Open()
	var ofFirst []opened
	for _, u := range offeredUsers(t) {
		ofFirst = append(ofFirst, openUser(t, u, first))
		t.Must(openUser(t, u, second).use(t.Context()))
	}
	t.Must(second.Close(t.Context()))
	for i, u := range offeredUsers(t) {
		if err := ofFirst[i].use(t.Context()); err != nil {
			t.Errorf("%s: after another provider was closed: %v", u.facet, err)
		}
	}
	describe(t, first)
}

func concurrentOpens(t *suite.T) {
	var all, open sync.WaitGroup
	open.Add(8)
	for i := range 8 {
		name := t.Name()
		all.Go(func() {
			p, err := t.OpenWith(t.Context())
			open.Done()
			if err == nil {
				open.Wait()
				err = suite.FirstError(useAll(t, p, name), p.Close(t.Context()))
			}
			if err != nil {
				t.Errorf("provider %d: %v", i+1, err)
			}
		})
	}
	all.Wait()
}

// openUseClose opens the provider, uses all facets, and closes all.
func openUseClose(t *suite.T, name string) error {
	p, err := t.OpenWith(t.Context())
	if err != nil {
		return err
	}
	err = useAll(t, p, name)
	return suite.FirstError(err, p.Close(t.Context()))
}

// useAll opens, uses and closes every facet once.
func useAll(t *suite.T, p fairlead.Provider, name string) error {
	for _, u := range offeredUsers(t) {
		o, err := u.open(t.Context(), p, name)
		if err != nil {
			return fmt.Errorf("%s: %w", u.facet, err)
		}
		if err := suite.FirstError(o.use(t.Context()), o.close(t.Context())); err != nil {
			return fmt.Errorf("%s: %w", u.facet, err)
		}
	}
	return nil
}

func goroutinesOfHandles(t *suite.T) {
	callLabelled(t, func(count func() int) {
		p := t.Open()
		name := t.Name()
		t.Must(useAll(t, p, name))
		before := count()
		for range 50 {
			t.Must(useAll(t, p, name))
		}
		after := 0
		t.Eventually(t.Patience(), "the goroutines of 50 closed handles of each facet end", func() bool {
			after = count()
			return after <= before+10
		})
	})
}

func goroutinesOfProviders(t *suite.T) {
	callLabelled(t, func(count func() int) {
		before := count()
		for range 5 {
			t.Must(openUseClose(t, t.Name()))
		}
		t.Eventually(t.Patience(), "the goroutines of 5 closed providers end", func() bool {
			return count() <= before
		})
	})
}

// callLabelled calls f with a label on its goroutine. All goroutines that f starts,
// directly or indirectly, inherit the label, so that they can be counted.
func callLabelled(t *suite.T, f func(count func() int)) {
	label := t.Name()
	pprof.Do(t.Context(), pprof.Labels("fairlead-case", label), func(context.Context) {
		f(func() int { return labelled(label) })
	})
}

// labelled returns how many goroutines have the label. In the profile's text, a
// line with their labels follows each line with a number of goroutines.
func labelled(label string) int {
	var profile bytes.Buffer
	_ = pprof.Lookup("goroutine").WriteTo(&profile, 1) // a buffer does not fail
	total, alike := 0, 0
	for line := range strings.Lines(profile.String()) {
		if number, _, ok := strings.Cut(line, " @ "); ok {
			alike, _ = strconv.Atoi(number)
		}
		if strings.HasPrefix(line, "# labels:") && strings.Contains(line, strconv.Quote(label)) {
			total += alike
		}
	}
	return total
}
