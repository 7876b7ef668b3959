package config

import (
	"reflect"
	"slices"
)

type callback[T any] struct{ f func(old, now *T) }

// OnChange has a function called after each change of the settings, with the
// settings that the watcher held before and holds now. A change that leaves
// them deeply equal is none. Callbacks are called in the order in which they
// were given, and never concurrently; a panic is reported through [OnError]
// and to slog. Until a callback returns no further update is applied, while
// Get and Health go on. It must not call Close, which would wait for it.
//
// A change before OnChange returns may be missed: read Get after it. The
// function that OnChange returns ends the calls, except one that has begun.
func (w *Watcher[T]) OnChange(f func(old, now *T)) (cancel func()) {
	c := &callback[T]{f}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.onChange = append(slices.Clip(w.onChange), c)
	return func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.onChange = slices.DeleteFunc(slices.Clone(w.onChange), func(o *callback[T]) bool { return o == c })
	}
}

// OnChange is as [Watcher.OnChange] for a part of the settings: it calls f
// only if what field selects has changed, that is, is not deeply equal.
//
//	config.OnChange(w, func(s *Settings) int { return s.Limits.Rate },
//		func(_, rate int) { limiter.SetLimit(rate) })
func OnChange[T, F any](w *Watcher[T], field func(*T) F, f func(old, now F)) (cancel func()) {
	return w.OnChange(func(old, now *T) {
		if a, b := field(old), field(now); !reflect.DeepEqual(a, b) {
			f(a, b)
		}
	})
}
