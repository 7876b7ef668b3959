package conformance

import (
	"context"
	"crypto/rand"
	"fmt"
	"runtime/debug"
	"slices"
	"sync"
	"time"

	"fairlead.dev"
	"fairlead.dev/kv"
	"fairlead.dev/pubsub"
)

// Prefix begins every name that the suite makes on a backend.
const Prefix = "flconf-"

// grace is how long a case may take to end after its deadline before it is
// given up as hung.
const grace = 3 * time.Second

// cleanTimeout bounds the removal of names when a run ends.
const cleanTimeout = 20 * time.Second

// run is one run of the suite.
type run struct {
	open        Opener
	options     options
	provider    fairlead.Provider
	description fairlead.Description
	prefix      string
}

// Run opens the provider, runs the cases that apply, and reports. The error
// is not nil only if the provider cannot be opened or described; whether it
// conforms is [Report.Err]. When ctx ends, the cases that run are ended, their
// names are removed, and the report says Interrupted.
func Run(ctx context.Context, open Opener, opts ...Option) (*Report, error) {
	r := &run{open: open, options: newOptions(opts), prefix: newPrefix(time.Now())}
	var err error
	if r.provider, err = open(ctx); err != nil {
		return nil, err
	}
	defer r.provider.Close(context.WithoutCancel(ctx))
	if r.description, err = r.provider.Describe(ctx); err != nil {
		return nil, err
	}
	report := &Report{
		Provider:    r.description.Provider,
		Transport:   r.options.transport,
		Profile:     r.options.profile,
		Started:     time.Now(),
		Description: r.description,
	}
	r.all(ctx, report)
	report.Leftovers, report.Unmanaged = r.clean(ctx)
	report.Duration = time.Since(report.Started)
	report.judge()
	return report, nil
}

func newPrefix(now time.Time) string {
	return Prefix + now.UTC().Format("20060102T150405") + "-" + rand.Text()[:6] + "-"
}

// all runs the cases and fills in the results, in the order of the cases.
func (r *run) all(ctx context.Context, report *Report) {
	cases := slices.DeleteFunc(Cases(), func(c Case) bool { return !r.options.selects(c) })
	report.Results = make([]Result, len(cases))
	var together, alone []int
	for i, c := range cases {
		report.Results[i] = Result{Case: c.Name, Facet: c.Facet, Needs: c.Needs, Control: c.Control, Rule: c.Rule, Outcome: NotRun}
		offered, applies, why := r.applies(c)
		report.Results[i].Reason = why
		switch {
		case !offered || !applies:
		case c.Control:
			alone = append(alone, i)
		default:
			together = append(together, i)
		}
	}
	r.options.listed(len(together) + len(alone))
	one := func(i int) { r.one(ctx, cases[i], &report.Results[i]) }
	r.spread(ctx, together, r.options.parallel, one)
	r.sweep(ctx)
	r.spread(ctx, alone, 1, func(i int) { one(i); r.sweep(ctx) })
	report.Interrupted = ctx.Err() != nil
}

// sweep removes what the cases so far have made, so that a backend that is
// killed and started need not bring that back as well. What it cannot remove is
// left to the end of the run.
func (r *run) sweep(ctx context.Context) {
	if ctx.Err() == nil {
		_, _ = r.clean(ctx)
	}
}

func (r *run) applies(c Case) (offered, applies bool, why string) {
	d, offered := facetOf(r.description, c.Facet)
	if !offered && c.Facet != Opening {
		return false, false, "the facet is not offered"
	}
	applies, why = c.applies(d, r.options)
	return true, applies, why
}

// spread calls do for each of the indices, n at a time, until ctx ends.
func (r *run) spread(ctx context.Context, indices []int, n int, do func(int)) {
	slots := make(chan struct{}, n)
	var wg sync.WaitGroup
	defer wg.Wait()
	for _, i := range indices {
		select {
		case slots <- struct{}{}:
		case <-ctx.Done():
			return
		}
		wg.Go(func() { do(i); <-slots })
	}
}

var progress sync.Mutex

// one runs one case.
func (r *run) one(ctx context.Context, c Case, res *Result) {
	began := time.Now()
	ctx, cancel := context.WithTimeout(ctx, c.timeout())
	defer cancel()
	t := &T{run: r, c: c, ctx: ctx, name: r.prefix + caseName(c)}
	done := make(chan struct{})
	go t.call(done)
	hung := false
	select {
	case <-done:
	case <-ctx.Done():
		select {
		case <-done:
		case <-time.After(grace):
			hung = true
		}
	}
	cleaning, stop := context.WithTimeout(context.WithoutCancel(ctx), grace)
	defer stop()
	if !hung {
		t.clean(cleaning)
	}
	t.report(res, hung)
	res.Duration = time.Since(began)
	res.judge(r.options.known)
	progress.Lock()
	defer progress.Unlock()
	r.options.progress(*res)
}

// call runs the function of the case; a panic is a failure.
func (t *T) call(done chan<- struct{}) {
	defer close(done)
	defer func() {
		if v := recover(); v != nil {
			t.Errorf("panic: %v", v)
			t.Logf("%s", debug.Stack())
		}
	}()
	t.c.Run(t)
}

func (t *T) report(res *Result, hung bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	res.Failures = slices.Clone(t.failures)
	switch {
	case hung:
		res.Outcome = Hung
		res.Failures = append(res.Failures, fmt.Sprintf("still running %v after its deadline of %v", grace, t.c.timeout()))
	case len(res.Failures) > 0:
		res.Outcome = Failed
	default:
		res.Outcome = Passed
		return
	}
	res.Logs = slices.Clone(t.logs)
}

// judge applies the list of known failures.
func (r *Result) judge(known map[string]string) {
	reason, ok := known[r.Case]
	if !ok {
		return
	}
	r.Reason = reason
	switch r.Outcome {
	case Failed:
		r.Outcome = KnownFails
	case Passed:
		r.Outcome = Unexpected
		r.Failures = []string{"the case is listed as a known failure and passes: take it off the list"}
	}
}

// clean removes the names of this run. It returns those that it could not
// remove, and whether that is because the provider claims no Manage.
func (r *run) clean(ctx context.Context) (left []string, unmanaged bool) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanTimeout)
	defer cancel()
	if _, err := remove(ctx, r.provider, r.prefix); err != nil {
		return []string{r.prefix + "*: " + err.Error()}, fairlead.CodeOf(err) == fairlead.Unsupported
	}
	return nil, false
}

// Clean removes what runs that ended without cleaning up have left on the
// backend: all names that start with [Prefix]. It returns the names. Do not
// call it while a run is under way on the same backend.
func Clean(ctx context.Context, p fairlead.Provider) ([]string, error) {
	return remove(ctx, p, Prefix)
}

// remove deletes the stores and topics whose names start with prefix.
func remove(ctx context.Context, p fairlead.Provider, prefix string) ([]string, error) {
	d, err := p.Describe(ctx)
	if err != nil {
		return nil, err
	}
	var removed []string
	for _, m := range managers {
		fd, ok := d.Facet(m.facet)
		if !ok {
			continue
		}
		if !fd.Has(m.claim) {
			return removed, fairlead.Errorf(fairlead.Unsupported, "names of the facet %s cannot be removed: %s is not claimed", m.facet, m.claim)
		}
		names, err := m.list(ctx, p, prefix)
		if err != nil {
			return removed, err
		}
		for _, name := range names {
			if err := m.remove(ctx, p, name); err != nil {
				return removed, err
			}
			removed = append(removed, string(m.facet)+" "+name)
		}
	}
	return removed, nil
}

var managers = []struct {
	facet  fairlead.Facet
	claim  fairlead.Claim
	list   func(context.Context, fairlead.Provider, string) ([]string, error)
	remove func(context.Context, fairlead.Provider, string) error
}{
	{fairlead.KV, kv.Manage, kv.Stores, kv.DeleteStore},
	{fairlead.PubSub, pubsub.Manage, pubsub.Topics, pubsub.DeleteTopic},
}
