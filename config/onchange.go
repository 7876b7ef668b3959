package config

import (
	"reflect"
	"slices"
)

type callback[T any] struct{ f func(old, now *T) }

// OnChange registers a function to call after each change of the settings, with
// the settings before and after. An update that leaves them deeply equal is no
// change. Callbacks are called in the order of their registration, and never
// concurrently. A panic is reported through [OnError] and to slog. Until a
// callback returns, no further update is applied; Get and Health work meanwhile.
// A callback must not call Close, which would wait for it.
//
// A change before OnChange returns may be missed: call Get after OnChange. The
// function cancel ends the calls, except one that has begun.
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

// OnChange is [Watcher.OnChange] for a part of the settings: it calls f only if
// the part that field selects is not deeply equal to its previous value.
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
