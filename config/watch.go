package config

import (
	"context"
	"log/slog"
	"reflect"
	"slices"
	"sync"
	"sync/atomic"

	"fairlead.dev"
	"fairlead.dev/internal/contained"
)

const opWatch = "config.Watch"

// Watcher keeps settings up to date. All methods may be called concurrently.
type Watcher[T any] struct {
	current atomic.Pointer[T]
	origins atomic.Pointer[origins]
	stack   *stack // used only by the goroutine applyUpdates
	health  *healthBoard
	counts  []layerCounts // by layer
	onError []func(error)

	mu       sync.Mutex
	onChange []*callback[T] // the slice is replaced, never changed
	closed   bool

	updates chan update
	life    context.Context
	stop    context.CancelFunc
	running sync.WaitGroup
	ended   chan struct{} // closed when no goroutine runs
}

// update is a change of a layer that its follower found.
type update struct {
	layer   int
	content content
	err     error // the layer became unreachable
}

// Watch reads the layers as [Load] does, with the same errors, and follows
// the layers that can change until [Watcher.Close]. The context bounds only the
// first reading. Settings that are rejected or unreachable at first are an error.
// Later they are reported, and the last good settings stay.
func Watch[T any](ctx context.Context, opts ...Option) (*Watcher[T], error) {
	w, err := newWatcher[T](ctx, opts)
	if err != nil {
		return nil, annotateRejected(err, opWatch)
	}
	w.start()
	return w, nil
}

func newWatcher[T any](ctx context.Context, opts []Option) (*Watcher[T], error) {
	set, err := newSetup(opts)
	if err != nil {
		return nil, err
	}
	s, err := set.open(ctx, reflect.TypeFor[T]())
	if err != nil {
		return nil, err
	}
	first, _, err := applyPending[T](s, nil)
	if err != nil {
		_ = s.close(ctx) // the first error says more
		return nil, err
	}
	life, stop := context.WithCancel(context.Background())
	w := &Watcher[T]{
		stack: s, health: newHealthBoard(s.layers), counts: countsOf(s.layers), onError: set.onError,
		updates: make(chan update), life: life, stop: stop, ended: make(chan struct{}),
	}
	w.current.Store(first)
	w.origins.Store(s.origins())
	return w, nil
}

func (w *Watcher[T]) start() {
	w.running.Go(w.applyUpdates)
	for i, l := range w.stack.layers {
		if l.feed.live() {
			w.running.Go(func() { w.followLayer(i, l.feed, l.version) })
		}
	}
	go func() {
		w.running.Wait()
		close(w.ended)
	}()
}

// Get returns the present settings; it costs one atomic load. The struct is
// shared by all callers: do not change it. It is never changed.
func (w *Watcher[T]) Get() *T { return w.current.Load() }

// Health returns the state of the watcher and of each layer.
func (w *Watcher[T]) Health() Health { return w.health.copy() }

// Err returns everything that is wrong at present, or nil: unreachable layers and
// rejected contents.
func (w *Watcher[T]) Err() error { return w.health.copy().Err() }

// Close ends the watcher and waits for its goroutines and callbacks, at most
// until the context ends. Get continues to return the last settings. Calls after
// the first return nil.
func (w *Watcher[T]) Close(ctx context.Context) error {
	w.mu.Lock()
	first := !w.closed
	w.closed = true
	w.mu.Unlock()
	if !first {
		return nil
	}
	w.stop()
	closeErr := w.stack.close(ctx)
	select {
	case <-w.ended:
		return fairlead.Annotate(closeErr, "config.Close", "")
	case <-ctx.Done():
		return fairlead.Annotate(fairlead.ContextError(ctx), "config.Close", "")
	}
}

// followLayer waits for a layer's changes. After a failure it asks for the
// present content, so that it learns when the layer can be reached again.
func (w *Watcher[T]) followLayer(layer int, f feed, version string) {
	var pause backoff
	known := version
	for w.life.Err() == nil {
		c, err := f.next(w.life, version)
		if w.life.Err() != nil {
			return
		}
		if err != nil {
			w.reportUnreachable(layer, err)
			version = ""
			pause.wait(w.life)
			continue
		}
		w.health.setReachable(layer, nil)
		if c.version != known {
			w.sendUpdate(update{layer: layer, content: c})
		}
		if version != "" { // the layer can also be followed, not only read
			pause = backoff{}
		}
		known, version = c.version, c.version
	}
}

func (w *Watcher[T]) reportUnreachable(layer int, err error) {
	err = fairlead.Annotate(err, opWatch, "")
	if w.health.setReachable(layer, err) {
		w.counts[layer].countUnreachable()
		w.sendUpdate(update{layer: layer, err: err})
	}
}

func (w *Watcher[T]) sendUpdate(u update) {
	select {
	case w.updates <- u:
	case <-w.life.Done():
	}
}

// applyUpdates applies updates one by one.
func (w *Watcher[T]) applyUpdates() {
	for {
		select {
		case u := <-w.updates:
			w.applyUpdate(u)
		case <-w.life.Done():
			return
		}
	}
}

func (w *Watcher[T]) applyUpdate(u update) {
	if u.err != nil {
		w.callOnError(u.err)
		return
	}
	l := w.stack.layers[u.layer]
	err := w.stack.setPending(l, u.content)
	if err == nil {
		err = w.publishPending(l)
	}
	if err != nil {
		err = annotateRejected(inLayer(err, l), opWatch)
		w.origins.Store(w.stack.origins())
		w.health.recordRejected(u.layer, err)
		w.counts[u.layer].countRejected()
		w.callOnError(err)
		return
	}
	w.counts[u.layer].countApplied()
}

// publishPending applies the pending update, so that Get returns its settings.
func (w *Watcher[T]) publishPending(l *openLayer) error {
	now, applied, err := applyPending[T](w.stack, l)
	if err != nil {
		return err
	}
	old := w.current.Load()
	changed := !reflect.DeepEqual(old, now)
	if changed {
		w.current.Store(now)
	}
	w.origins.Store(w.stack.origins())
	w.health.recordApplied(w.indexes(applied), changed)
	if changed {
		w.callOnChange(old, now)
	}
	return nil
}

func (w *Watcher[T]) indexes(layers []*openLayer) []int {
	var all []int
	for _, l := range layers {
		all = append(all, slices.Index(w.stack.layers, l))
	}
	return all
}

func (w *Watcher[T]) callOnChange(old, now *T) {
	w.mu.Lock()
	callbacks := w.onChange
	w.mu.Unlock()
	scrub := func(text string) string {
		schema := w.stack.schema
		return schema.scrub(schema.scrub(text, old), now)
	}
	for _, c := range callbacks {
		if err := callContained("OnChange", scrub, func() { c.f(old, now) }); err != nil {
			w.callOnError(fairlead.Annotate(err, opWatch, ""))
		}
	}
}

// callOnError calls the callbacks. Errors contain no value of a setting, so that
// a panic with one may be logged.
func (w *Watcher[T]) callOnError(err error) {
	unchanged := func(text string) string { return text }
	for _, f := range w.onError {
		_ = callContained("OnError", unchanged, func() { f(err) }) // the panic is logged
	}
}

// callContained calls f, and returns an error if f does not return. The function
// scrub removes secrets from the text of a panic.
func callContained(what string, scrub func(string) string, f func()) error {
	err := contained.Call(func() error { f(); return nil })
	if err == nil {
		return nil
	}
	text := scrub(err.Error())
	var stack string
	if failure, ok := err.(*contained.Failure); ok {
		stack = string(failure.Stack)
	}
	slog.Error("config: a callback did not return; updates continue", "callback", what, "failure", text, "stack", stack)
	return fairlead.Errorf(fairlead.Internal, "a callback of %s %s", what, text)
}
