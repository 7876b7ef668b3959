package conformance

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
)

func init() { suites = append(suites, openLife, closedProvider()) }

// soon is how long a call may take to end that has been told to, or that has
// nothing to wait for. The contracts say about a second. What is looked for is
// a call that does not end, or only with its deadline, which is later than this:
// how long exactly it took says as much of the machine as of the provider.
func (t *T) soon() time.Duration { return min(10*time.Second, t.Patience()) }

// openLife is how providers are opened, waited for and closed.
var openLife = []Case{
	{
		Name: "open/await-differs", Facet: Opening,
		Rule: "Await answers at once for a generation that is not the present one",
		Run:  awaitDiffers,
	},
	{
		Name: "open/await-blocks", Facet: Opening,
		Rule: "Await waits for as long as the generation is the present one",
		Run:  awaitBlocks,
	},
	{
		Name: "open/await-cancel", Facet: Opening,
		Rule: "Await ends within a second of its context, with Canceled",
		Run: func(t *T) {
			p := t.Provider()
			t.endsWith("Await", func(ctx context.Context) error { return awaitNothing(ctx, p) })
		},
	},
	{
		Name: "open/await-closed", Facet: Opening,
		Rule: "an Await that waits fails with Closed when the provider is closed",
		Run: func(t *T) {
			p := t.Open()
			done := started(func() error { return awaitNothing(t.Context(), p) })
			time.Sleep(50 * time.Millisecond) // whether or not it waits by then
			t.Must(p.Close(t.Context()))
			t.wantSoon("Await", done, fairlead.Closed)
		},
	},
	{
		Name: "open/second", Facet: Opening,
		Rule: "a second Open works beside the first one, and its Close leaves the first one as it was",
		Run:  openSecond,
	},
	{
		Name: "open/concurrent", Facet: Opening,
		Rule: "eight providers can be opened, used and closed concurrently",
		Run:  openConcurrent,
	},
	{
		Name: "open/close-twice", Facet: Opening,
		Rule: "Close returns nil, also when it is called again",
		Run: func(t *T) {
			p := t.Open()
			for i := range 3 {
				if err := p.Close(t.Context()); err != nil {
					t.Errorf("Close number %d: %v", i+1, err)
				}
			}
		},
	},
	{
		Name: "open/closed", Facet: Opening,
		Rule: "after Close, Describe and Await fail with Closed",
		Run: func(t *T) {
			p := t.Open()
			t.Must(p.Close(t.Context()))
			_, err := p.Describe(t.Context())
			t.WantCode("Describe", err, fairlead.Closed)
			_, err = p.Await(t.Within(t.soon()), 0)
			t.WantCode("Await", err, fairlead.Closed)
		},
	},
	{
		Name: "open/cancelled", Facet: Opening,
		Rule: "an Open whose context has ended works or fails with Canceled, and returns at once",
		Run: func(t *T) {
			done := started(func() error {
				ctx, cancel := context.WithCancel(t.Context())
				cancel()
				p, err := t.run.open(ctx)
				if err == nil {
					return p.Close(t.Context())
				}
				return err
			})
			t.wantSoon("Open with a canceled context", done, 0, fairlead.Canceled)
		},
	},
	{
		Name: "open/goroutines-handles", Facet: Opening, Timeout: 2 * time.Minute, // each facet writes a few times
		Rule: "what is opened and closed 50 times leaves no goroutines behind",
		Run:  goroutinesOfHandles,
	},
	{
		Name: "open/goroutines-providers", Facet: Opening,
		Rule: "a provider that is closed leaves no goroutine behind",
		Run:  goroutinesOfProviders,
	},
	{
		Name: "open/as-foreign", Facet: Opening,
		Rule: "As is false for a type that no vendor's client has, and leaves the target alone",
		Run: func(t *T) {
			target := new(foreign)
			if fairlead.As(t.Provider(), &target) || target == nil || target.touched {
				t.Errorf("As claims to be of a type that it cannot know")
			}
		},
	},
}

type foreign struct{ touched bool }

// closedProvider returns two cases for each facet.
func closedProvider() []Case {
	var cases []Case
	for _, u := range allUsers {
		cases = append(cases, Case{
			Name: string(u.facet) + "/closed-provider", Facet: u.facet,
			Rule: "what was opened from a provider that is closed fails with Closed, and so does opening more",
			Run:  func(t *T) { closedUse(t, u) },
		}, Case{
			Name: string(u.facet) + "/closed-provider-wakes", Facet: u.facet,
			Rule: "a call that waits fails with Closed when the provider is closed",
			Run:  func(t *T) { closedWakes(t, u) },
		})
	}
	return cases
}

func closedUse(t *T, u user) {
	p := t.Open()
	o := t.opened(u, p)
	t.Must(o.use(t.Context()))
	t.Must(p.Close(t.Context()))
	t.wantSoon("a call", started(func() error { return o.use(t.Context()) }), fairlead.Closed)
	_, err := u.open(t.Context(), p, t.Name())
	t.WantCode("opening", err, fairlead.Closed)
}

func closedWakes(t *T, u user) {
	p := t.Open()
	o := t.opened(u, p)
	if o.block == nil {
		t.Must(p.Close(t.Context()))
		t.WantCode("a call", o.use(t.Context()), fairlead.Closed)
		return
	}
	done := started(func() error { return o.block(t.Context()) })
	select {
	case err := <-done:
		t.Fatalf("the call that ought to wait ended with %v", err)
	case <-time.After(100 * time.Millisecond):
	}
	t.Must(p.Close(t.Context()))
	t.wantSoon("the call that waits", done, fairlead.Closed)
}

// wantSoon demands that a call ends soon, with one of the codes; 0 is success.
func (t *T) wantSoon(what string, done <-chan error, want ...fairlead.Code) {
	select {
	case err := <-done:
		for _, code := range want {
			if fairlead.CodeOf(err) == code {
				return
			}
		}
		t.Errorf("%s: want one of %v, got %v", what, want, err)
	case <-time.After(t.soon()):
		t.Errorf("%s: still not ended after %v", what, t.soon())
	}
}

// endsWith demands that a call that waits ends soon after its context does.
func (t *T) endsWith(what string, wait func(ctx context.Context) error) {
	ctx, cancel := context.WithCancel(t.ctx)
	defer cancel()
	done := started(func() error { return wait(ctx) })
	select {
	case err := <-done:
		t.Fatalf("%s: ended with %v, and nothing had happened", what, err)
	case <-time.After(100 * time.Millisecond):
	}
	cancel()
	t.wantSoon(what+", canceled", done, fairlead.Canceled)
}

// awaitNothing waits until Await fails, over any changes.
func awaitNothing(ctx context.Context, p fairlead.Provider) error {
	d, err := p.Describe(ctx)
	for err == nil {
		d, err = p.Await(ctx, d.Generation)
	}
	return err
}

func awaitDiffers(t *T) {
	p := t.Provider()
	d := t.describe(p)
	for _, generation := range []uint64{0, d.Generation - 1, d.Generation + 1000} {
		got, err := p.Await(t.Within(t.soon()), generation)
		if err != nil || got.Generation == generation || got.Generation < d.Generation {
			t.Errorf("Await(%d) while the generation is %d: generation %d, %v", generation, d.Generation, got.Generation, err)
		}
	}
}

func awaitBlocks(t *T) {
	d := t.describe(t.Provider())
	for ctx := t.Within(300 * time.Millisecond); ; {
		next, err := t.Provider().Await(ctx, d.Generation)
		if err != nil {
			t.WantCode("Await of the present generation", err, fairlead.DeadlineExceeded)
			return
		}
		if next.Generation == d.Generation {
			t.Fatalf("Await(%d) answered with that generation", d.Generation)
		}
		d = next
	}
}

func openSecond(t *T) {
	first, second := t.Open(), t.Open()
	var ofFirst []opened
	for _, u := range t.users() {
		ofFirst = append(ofFirst, t.opened(u, first))
		t.Must(t.opened(u, second).use(t.Context()))
	}
	t.Must(second.Close(t.Context()))
	for i, u := range t.users() {
		if err := ofFirst[i].use(t.Context()); err != nil {
			t.Errorf("%s: after another provider was closed: %v", u.facet, err)
		}
	}
	t.describe(first)
}

func openConcurrent(t *T) {
	var all, open sync.WaitGroup
	open.Add(8)
	for i := range 8 {
		name := t.Name()
		all.Go(func() {
			p, err := t.run.open(t.Context())
			open.Done()
			if err == nil {
				open.Wait()
				err = firstError(t.useAll(p, name), p.Close(t.Context()))
			}
			if err != nil {
				t.Errorf("provider %d: %v", i+1, err)
			}
		})
	}
	all.Wait()
}

// openUseClose opens the provider, uses all facets, and closes all.
func (t *T) openUseClose(name string) error {
	p, err := t.run.open(t.ctx)
	if err != nil {
		return err
	}
	err = t.useAll(p, name)
	return firstError(err, p.Close(t.ctx))
}

// useAll opens, uses and closes every facet once.
func (t *T) useAll(p fairlead.Provider, name string) error {
	for _, u := range t.users() {
		o, err := u.open(t.ctx, p, name)
		if err != nil {
			return fmt.Errorf("%s: %w", u.facet, err)
		}
		if err := firstError(o.use(t.ctx), o.close(t.ctx)); err != nil {
			return fmt.Errorf("%s: %w", u.facet, err)
		}
	}
	return nil
}

func goroutinesOfHandles(t *T) {
	t.counted(func(count func() int) {
		p := t.Open()
		name := t.Name()
		t.Must(t.useAll(p, name))
		before := count()
		for range 50 {
			t.Must(t.useAll(p, name))
		}
		after := 0
		t.Eventually(t.Patience(), "the goroutines of 50 closed handles of each facet end", func() bool {
			after = count()
			return after <= before+10
		})
	})
}

func goroutinesOfProviders(t *T) {
	t.counted(func(count func() int) {
		before := count()
		for range 5 {
			t.Must(t.openUseClose(t.Name()))
		}
		t.Eventually(t.Patience(), "the goroutines of 5 closed providers end", func() bool {
			return count() <= before
		})
	})
}

// counted calls f in such a way that the goroutines that it starts, and the
// ones that those start, can be told from all others in the process.
func (t *T) counted(f func(count func() int)) {
	label := t.Name()
	pprof.Do(t.ctx, pprof.Labels("fairlead-case", label), func(context.Context) {
		f(func() int { return labelled(label) })
	})
}

// labelled returns how many goroutines have the label. In the profile's text,
// a line with the number of goroutines is followed by one with their labels.
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
