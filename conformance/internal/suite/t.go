package suite

import (
	"context"
	"fmt"
	"runtime"
	"sync"
	"time"

	"fairlead.dev"
	"fairlead.dev/config"
	"fairlead.dev/kv"
	"fairlead.dev/pubsub"
)

// T gives a case its provider, names of its own, and the ways to fail. Fatalf and
// the methods that open something must be called from the case's own goroutine.
// All others may be called from any goroutine.
type T struct {
	env   *Env
	c     Case
	run   context.Context // ends when the run is given up
	ctx   context.Context // ends at the deadline of the case, too
	name  string          // prefix of the names of this case
	limit time.Duration   // how long the case may take

	mu       sync.Mutex
	failures []string
	logs     []string
	cleanups []func(context.Context) error
	names    int
	blocked  string    // why the case could not run
	steps    int       // how often the case took a context, as it does for most calls
	lastStep time.Time // when it last did so
	kills    int       // how often it killed the backend
	down     bool      // it killed the backend, and has not started it yet
	ended    bool      // its outcome is known: what a hung case still says is ignored

	acknowledged int // writes that the case looked for after kills
}

// Context ends at the case's deadline, and when the run is given up.
func (t *T) Context() context.Context {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.steps++
	t.lastStep = time.Now()
	return t.ctx
}

// Within returns a context that ends after d, or with the case if that is earlier.
func (t *T) Within(d time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), d)
	t.Cleanup(func(context.Context) error { cancel(); return nil })
	return ctx
}

// Patience returns how long to wait for something that must come.
func (t *T) Patience() time.Duration { return t.env.Patience }

// Errorf records a failure; the case continues. What fails after the run was given
// up, or because the case cannot run, is recorded as a log line: it says nothing
// about the provider.
func (t *T) Errorf(format string, args ...any) {
	t.mu.Lock()
	defer t.mu.Unlock()
	message := fmt.Sprintf(format, args...)
	if len(t.failures) == 0 && t.blocked == "" && t.isOutOfTime() {
		t.blocked = fmt.Sprintf("its time limit of %v passed, and the backend still answered: the case made %d calls, the last one %v before",
			t.limit.Round(time.Millisecond), t.steps, time.Since(t.lastStep).Round(time.Millisecond))
	}
	switch {
	case t.blocked != "" || fairlead.ContextError(t.run) != nil:
		t.addLog(message)
	case len(t.failures) < maxFailures:
		t.failures = append(t.failures, message)
	}
}

// maxFailures is how many failures a case reports at most.
const maxFailures = 10

// isOutOfTime reports whether the time limit of the case has passed, and not because
// of a call that waited for longer than the patience of the run: such a call does
// not return, which is a failure of the provider.
func (t *T) isOutOfTime() bool {
	return fairlead.ContextError(t.ctx) != nil && time.Since(t.lastStep) < t.Patience()
}

// Block records that the case cannot run, and why, unless it has failed already.
// Failures that follow do not count.
func (t *T) Block(format string, args ...any) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.failures) == 0 && t.blocked == "" {
		t.blocked = fmt.Sprintf(format, args...)
	}
}

// Fatalf records a failure and ends the case.
func (t *T) Fatalf(format string, args ...any) {
	t.Errorf(format, args...)
	runtime.Goexit()
}

// Logf records a line for the report of a case that fails.
func (t *T) Logf(format string, args ...any) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.addLog(fmt.Sprintf(format, args...))
}

// addLog records a line. The caller holds t.mu.
func (t *T) addLog(line string) {
	if t.ended {
		return
	}
	t.logs = append(t.logs, line)
	if t.env.Log != nil {
		t.env.Log(line)
	}
}

// Must ends the case if err is not nil.
func (t *T) Must(err error) {
	if err != nil {
		t.Fatalf("%v", err)
	}
}

// WantCode records a failure unless err has the code.
func (t *T) WantCode(what string, err error, want fairlead.Code) {
	if got := fairlead.CodeOf(err); got != want {
		if err == nil {
			t.Errorf("%s: no error, want %s", what, want)
			return
		}
		t.Errorf("%s: want %s, got %v", what, want, err)
	}
}

// Cleanup makes f run when the case has ended, last in first out.
func (t *T) Cleanup(f func(context.Context) error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.cleanups = append(t.cleanups, f)
}

// Provider returns the provider of the run, which cases share: do not close
// it.
func (t *T) Provider() fairlead.Provider { return t.env.Provider }

// Open opens the backend once more; see [fairlead.Shared]. The provider is
// closed when the case has ended.
func (t *T) Open() fairlead.Provider {
	return openForCase(t, func() (fairlead.Provider, error) { return t.env.Open(t.Context()) })
}

// Facet returns the provider's description of the case's facet.
func (t *T) Facet() fairlead.FacetDescription {
	f, _ := FacetOf(t.env.Description, t.c.Facet())
	return f
}

// Name returns an unused name for a store, topic, group or source.
func (t *T) Name() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.names++
	return fmt.Sprintf("%s-%d", t.name, t.names)
}

// Store opens a new, empty store, which is removed when the case has ended.
func (t *T) Store(opts ...kv.Option) *kv.Store { return t.StoreOf(t.Provider(), t.Name(), opts...) }

// StoreOf opens a store of a provider by a name from [T.Name].
func (t *T) StoreOf(p fairlead.Provider, name string, opts ...kv.Option) *kv.Store {
	return openForCase(t, func() (*kv.Store, error) { return kv.Open(t.Context(), p, name, opts...) })
}

// Topic opens a topic by a name from [T.Name].
func (t *T) Topic(name string) *pubsub.Topic { return t.TopicOf(t.Provider(), name) }

// TopicOf opens a topic of a provider.
func (t *T) TopicOf(p fairlead.Provider, name string) *pubsub.Topic {
	return openForCase(t, func() (*pubsub.Topic, error) { return pubsub.Open(t.Context(), p, name) })
}

// Subscribe subscribes to a topic.
func (t *T) Subscribe(topic string, opts ...pubsub.SubscribeOption) *pubsub.Subscription {
	return t.SubscribeOf(t.Provider(), topic, opts...)
}

// SubscribeOf subscribes to a topic of a provider.
func (t *T) SubscribeOf(p fairlead.Provider, topic string, opts ...pubsub.SubscribeOption) *pubsub.Subscription {
	return openForCase(t, func() (*pubsub.Subscription, error) { return pubsub.Subscribe(t.Context(), p, topic, opts...) })
}

// Source opens the settings of a name from [T.Name].
func (t *T) Source(name string) *config.Source { return t.SourceOf(t.Provider(), name) }

// SourceOf opens settings of a provider.
func (t *T) SourceOf(p fairlead.Provider, name string) *config.Source {
	return openForCase(t, func() (*config.Source, error) { return config.Open(t.Context(), p, name) })
}

// openForCase opens a handle that is closed when the case has ended. Cases that
// kill or fill the backend run one after the other: openForCase waits for a
// backend that does not serve again yet after an earlier case. The case cannot run
// if the backend does not let it open anything.
func openForCase[H interface{ Close(context.Context) error }](t *T, open func() (H, error)) H {
	h, err := open()
	for end := time.Now().Add(t.Patience()); t.c.Alone() && fairlead.CodeOf(err) == fairlead.Unavailable && time.Now().Before(end); {
		time.Sleep(50 * time.Millisecond)
		h, err = open()
	}
	if t.isRefused(err) {
		t.Block("nothing can be opened: %v", err)
	}
	t.Must(err)
	t.Cleanup(h.Close)
	return h
}

// Eventually polls until ok returns true. It ends the case if that takes longer
// than d.
func (t *T) Eventually(d time.Duration, what string, ok func() bool) {
	for deadline := time.Now().Add(d); !ok(); {
		if time.Now().After(deadline) || t.ctx.Err() != nil {
			t.Fatalf("not within %v: %s", d, what)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// Description returns the provider's description from the beginning of the run.
func (t *T) Description() fairlead.Description { return t.env.Description }

// OpenWith opens the backend once more. The caller closes the provider.
func (t *T) OpenWith(ctx context.Context) (fairlead.Provider, error) { return t.env.Open(ctx) }

// ForgetFailures forgets the failures so far, for a case that tries again because
// the machine was too slow.
func (t *T) ForgetFailures() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.failures = nil
}
