package config

import (
	"context"
	"fmt"
	"log/slog"
	"reflect"
	"runtime/debug"
	"slices"
	"sync"
	"sync/atomic"

	"fairlead.dev"
)

const opWatch = "config.Watch"

// Watcher keeps settings up to date. All methods may be called concurrently.
type Watcher[T any] struct {
	current atomic.Pointer[T]
	origins atomic.Pointer[origins]
	stack   *stack // of the goroutine run alone
	health  *healthBoard
	counts  []layerCounts // by layer
	onError []func(error)

	mu       sync.Mutex
	onChange []*callback[T] // replaced, never changed
	closed   bool

	updates chan update
	life    context.Context
	stop    context.CancelFunc
	running sync.WaitGroup
	ended   chan struct{} // closed when no goroutine runs
}

// update is what the follower of a layer found.
type update struct {
	layer   int
	content content
	err     error // the layer became unreachable
}

// Watch reads the layers as [Load] does, with the same errors, and follows
// those that change until [Watcher.Close]. The context bounds the first
// reading alone. Settings that are bad or out of reach at the beginning are an
// error; later they are reported, and the last good ones stay.
func Watch[T any](ctx context.Context, opts ...Option) (*Watcher[T], error) {
	w, err := newWatcher[T](ctx, opts)
	if err != nil {
		return nil, invalid(err, opWatch)
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
	first, _, err := settle[T](s, nil)
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
	w.running.Go(w.run)
	for i, l := range w.stack.layers {
		if l.feed.live() {
			w.running.Go(func() { w.follow(i, l.feed, l.version) })
		}
	}
	go func() {
		w.running.Wait()
		close(w.ended)
	}()
}

// Get returns the present settings. It is a load of a pointer. What it points
// to is shared and must not be changed; it never changes by itself.
func (w *Watcher[T]) Get() *T { return w.current.Load() }

// Health says how the watcher and each layer are doing.
func (w *Watcher[T]) Health() Health { return w.health.read() }

// Err returns all that is wrong at present, or nil: layers out of reach, and
// contents that were rejected.
func (w *Watcher[T]) Err() error { return w.health.read().Err() }

// Close ends the watcher and waits for its goroutines and callbacks, at most
// until the context ends. Get goes on to return the last settings. Calls after
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

// follow waits for a layer's changes. After a failure it asks for the present
// content, whose answer tells that the layer is back.
func (w *Watcher[T]) follow(layer int, f feed, version string) {
	var pause backoff
	known := version
	for w.life.Err() == nil {
		c, err := f.next(w.life, version)
		if w.life.Err() != nil {
			return
		}
		if err != nil {
			w.unreachable(layer, err)
			version = ""
			pause.wait(w.life)
			continue
		}
		w.health.reach(layer, nil)
		if c.version != known {
			w.send(update{layer: layer, content: c})
		}
		known, version, pause = c.version, c.version, backoff{}
	}
}

func (w *Watcher[T]) unreachable(layer int, err error) {
	err = fairlead.Annotate(err, opWatch, "")
	if w.health.reach(layer, err) {
		w.counts[layer].unreachable()
		w.send(update{layer: layer, err: err})
	}
}

func (w *Watcher[T]) send(u update) {
	select {
	case w.updates <- u:
	case <-w.life.Done():
	}
}

// run applies updates one by one.
func (w *Watcher[T]) run() {
	for {
		select {
		case u := <-w.updates:
			w.take(u)
		case <-w.life.Done():
			return
		}
	}
}

func (w *Watcher[T]) take(u update) {
	if u.err != nil {
		w.report(u.err)
		return
	}
	l := w.stack.layers[u.layer]
	err := w.stack.read(l, u.content)
	if err == nil {
		err = w.applyPending(l)
	}
	if err != nil {
		err = invalid(inLayer(err, l), opWatch)
		w.origins.Store(w.stack.origins())
		w.health.reject(u.layer, err)
		w.counts[u.layer].rejected()
		w.report(err)
		return
	}
	w.counts[u.layer].applied()
}

func (w *Watcher[T]) applyPending(l *openLayer) error {
	now, promoted, err := settle[T](w.stack, l)
	if err != nil {
		return err
	}
	old := w.current.Load()
	changed := !reflect.DeepEqual(old, now)
	if changed {
		w.current.Store(now)
	}
	w.origins.Store(w.stack.origins())
	w.health.apply(w.indexes(promoted), changed)
	if changed {
		w.notify(old, now)
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

func (w *Watcher[T]) notify(old, now *T) {
	w.mu.Lock()
	callbacks := w.onChange
	w.mu.Unlock()
	scrub := func(text string) string {
		schema := w.stack.schema
		return schema.scrub(schema.scrub(text, old), now)
	}
	for _, c := range callbacks {
		if err := contain("OnChange", scrub, func() { c.f(old, now) }); err != nil {
			w.report(fairlead.Annotate(err, opWatch, ""))
		}
	}
}

// report tells the callbacks. Errors hold no value, so that a panic with one
// may be logged.
func (w *Watcher[T]) report(err error) {
	asItIs := func(text string) string { return text }
	for _, f := range w.onError {
		_ = contain("OnError", asItIs, func() { f(err) }) // contain has logged it
	}
}

// contain calls f and returns its panic as an error. What the panic says goes
// through scrub.
func contain(what string, scrub func(string) string, f func()) (err error) {
	defer func() {
		if r := recover(); r != nil {
			says := scrub(fmt.Sprint(r))
			slog.Error("config: a callback panicked", "callback", what, "panic", says, "stack", string(debug.Stack()))
			err = fairlead.Errorf(fairlead.Internal, "a callback of %s panicked: %s", what, says)
		}
	}()
	f()
	return nil
}
