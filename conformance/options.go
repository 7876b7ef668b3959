package conformance

import (
	"context"
	"regexp"
	"slices"
	"time"

	"fairlead.dev"
	"fairlead.dev/conformance/internal/suite"
)

// Opener opens the provider under test. The suite calls it several times and
// closes the providers that it returns.
type Opener func(ctx context.Context) (fairlead.Provider, error)

// Control lets the suite kill and start the backend, as operators and accidents
// do. The methods return when that is done, or fail.
type Control interface {
	// Kill ends the backend with no warning, as SIGKILL does.
	Kill(ctx context.Context) error
	// Start starts the backend again, on the data that it had stored, and
	// returns when it serves.
	Start(ctx context.Context) error
}

// Filler lets the suite fill the backend, so that it has no space for another
// write, and give it space again, as operators do.
type Filler interface {
	// Fill returns when the backend refuses writes for want of space.
	Fill(ctx context.Context) error
	// Free undoes Fill, and returns when the backend takes writes again. After
	// a Fill that failed, it removes what that had begun.
	Free(ctx context.Context) error
}

// Operator does to the backend, with the backend's own tools, what people and
// other programs do while it is used. Each method returns when that is done. The
// names are of topics, stores and keys that the suite has made.
type Operator interface {
	// PurgeTopic removes all messages of a topic. The topic and its groups stay.
	PurgeTopic(ctx context.Context, topic string) error
	// InsertMessage stores an entry among the messages of a topic, as the last one,
	// that Fairlead did not write.
	InsertMessage(ctx context.Context, topic string) error
	// ReplaceValue replaces the value of a key of a store by bytes that Fairlead did
	// not write.
	ReplaceValue(ctx context.Context, store, key string) error
}

// Option changes what a run does.
type Option func(*options)

type options struct {
	profile   Profile
	facets    []fairlead.Facet
	match     *regexp.Regexp
	cases     []string
	parallel  int
	patience  time.Duration
	maxRate   int
	control   Control
	powerCut  bool
	filler    Filler
	operator  Operator
	transport string
	known     map[string]string
	observer  Observer
}

func newOptions(opts []Option) options {
	o := options{profile: Full, parallel: 4, patience: DefaultPatience, transport: "direct"}
	for _, opt := range opts {
		opt(&o)
	}
	return o
}

// WithProfile sets the profile; Full by default.
func WithProfile(p Profile) Option { return func(o *options) { o.profile = p } }

// WithFacets runs only the cases of these facets; by default, of all.
func WithFacets(f ...fairlead.Facet) Option { return func(o *options) { o.facets = f } }

// WithMatch runs only the cases whose names, or whose rules, match: "kv/watch",
// "KV-CAS-3".
func WithMatch(r *regexp.Regexp) Option { return func(o *options) { o.match = r } }

// WithCases runs only the cases with these names. A name that no case has
// selects nothing.
func WithCases(names ...string) Option { return func(o *options) { o.cases = names } }

// WithParallel sets how many cases run at once; 4 by default. Cases that
// kill or fill the backend always run one at a time.
func WithParallel(n int) Option { return func(o *options) { o.parallel = max(n, 1) } }

// DefaultPatience is how long a case waits for something that must come, unless
// [WithPatience] says otherwise. It is long because a slow provider conforms.
const DefaultPatience = 20 * time.Second

// WithPatience sets how long a case waits for something that must come before
// it fails; more if calls take long, see [Pace]. A shorter time makes a run quicker that expects failures, for example
// of a broken provider.
func WithPatience(d time.Duration) Option { return func(o *options) { o.patience = d } }

// WithMaxRate makes the suite send at most n calls of drivers in any second to the
// backend, over all its connections, for a run beside other users; 0, the default, is no
// bound. A call may carry a batch of operations. What a provider sends by itself, such as
// probes and the renewal of leases, does not count. The cases get more time; see [Pace].
func WithMaxRate(n int) Option { return func(o *options) { o.maxRate = max(n, 0) } }

// WithControl makes the cases run that kill and start the backend.
func WithControl(c Control) Option { return func(o *options) { o.control = c } }

// WithPowerCut is WithControl for a control whose Kill cuts the power of the
// backend's machine, or has the same effect on its disks: what was written and not
// synced is lost. Only so does a run show that a write that was acknowledged is on
// stable storage.
func WithPowerCut(c Control) Option {
	return func(o *options) { o.control, o.powerCut = c, true }
}

// WithFiller makes the cases run that fill the backend. While it is full, it is
// full for every client: do not give a Filler of a backend that others use.
func WithFiller(f Filler) Option { return func(o *options) { o.filler = f } }

// WithOperator makes the cases run in which people and other programs change the
// backend with its own tools. They change what these cases have made, and nothing
// else.
func WithOperator(op Operator) Option { return func(o *options) { o.operator = op } }

// WithTransport names how the provider is reached, for the report; "direct"
// by default.
func WithTransport(name string) Option { return func(o *options) { o.transport = name } }

// WithKnownFailures names cases that are known to fail, with the reason. They
// are run; one that passes is a failure, so that the list stays true.
func WithKnownFailures(reasons map[string]string) Option {
	return func(o *options) { o.known = reasons }
}

// Observer is told what a run does. Its functions are called by one goroutine at a time,
// and the run waits for them. A nil function is not called.
type Observer struct {
	Planned func(Plan)            // once, before the first case
	Began   func(caseName string) // before a case
	Done    func(Result)          // after a case
}

// Plan is what a run is about to do.
type Plan struct {
	Run    []string // the names of the cases that will be run, in the order in which they begin
	NotRun []Result // the selected cases that will not be run, with the reasons
	Pace   Pace     // the time limits
	// Report returns the report as far as the run has come. It may be called at any
	// time and from any goroutine.
	Report func() *Report
}

// WithObserver sets who is told what the run does.
func WithObserver(o Observer) Option { return func(all *options) { all.observer = o } }

// selects reports whether the case is wanted at all.
func (o options) selects(c suite.Case) bool {
	return (len(o.facets) == 0 || slices.Contains(o.facets, c.Facet())) &&
		(o.match == nil || o.match.MatchString(c.Name) || o.match.MatchString(ruleID(c.Name))) &&
		(o.cases == nil || slices.Contains(o.cases, c.Name))
}
