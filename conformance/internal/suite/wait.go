package suite

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	"fairlead.dev"
)

// Quiet is how long a case waits to see that nothing happens.
const Quiet = 200 * time.Millisecond

// Soon is how long a call may take to end after it was canceled, or when it has
// nothing to wait for. The contracts say about a second. The bound is longer
// because it only has to distinguish such a call from one that does not end, or
// that ends with its deadline. The exact duration depends as much on the machine
// as on the provider. It is longer where calls take long.
func (t *T) Soon() time.Duration { return min(t.env.Soon, t.Patience()) }

// PatientContext returns a context that ends after the patience of the run.
func (t *T) PatientContext() context.Context { return t.Within(t.Patience()) }

// WantEnd demands that a call ends soon, with one of the codes; 0 is success.
func (t *T) WantEnd(what string, done <-chan error, want ...fairlead.Code) {
	select {
	case err := <-done:
		for _, code := range want {
			if fairlead.CodeOf(err) == code {
				return
			}
		}
		t.Errorf("%s: want one of %v, got %v", what, want, err)
	case <-time.After(t.Soon()):
		t.Errorf("%s: still not ended after %v", what, t.Soon())
	}
}

// WantCanceled demands that a call waits, and ends soon after its context does.
func (t *T) WantCanceled(what string, wait func(ctx context.Context) error) {
	ctx, cancel := context.WithCancel(t.ctx)
	defer cancel()
	done := RunInBackground(func() error { return wait(ctx) })
	select {
	case err := <-done:
		t.Fatalf("%s: ended with %v, and nothing had happened", what, err)
	case <-time.After(100 * time.Millisecond):
	}
	cancel()
	t.WantEnd(what+", canceled", done, fairlead.Canceled)
}

// WantSignal demands that something happens soon.
func (t *T) WantSignal(what string, c <-chan struct{}) {
	select {
	case <-c:
	case <-time.After(t.Soon()):
		t.Errorf("not within %v: %s", t.Soon(), what)
	}
}

// WantFull ends the case unless err is the error of a backend without space: it is
// Unavailable, and says so. The word does not count in a name of the case.
func (t *T) WantFull(what string, err error) {
	if fairlead.CodeOf(err) != fairlead.Unavailable || !strings.Contains(strings.ReplaceAll(err.Error(), t.name, ""), "full") {
		t.Fatalf("%s on a full backend: want unavailable and the word full, got %v", what, err)
	}
}

// RunInBackground runs f in a goroutine. The channel receives its error, or its
// panic, when it has ended.
func RunInBackground(f func() error) <-chan error {
	done := make(chan error, 1)
	go func() {
		defer func() {
			if v := recover(); v != nil {
				done <- fmt.Errorf("panic: %v", v)
			}
		}()
		done <- f()
	}()
	return done
}

// RunConcurrently calls f for 0 to n-1, all at once, and returns when all calls
// have ended.
func RunConcurrently(n int, f func(i int)) {
	var wg sync.WaitGroup
	start := make(chan struct{})
	for i := range n {
		wg.Go(func() { <-start; f(i) })
	}
	close(start)
	wg.Wait()
}

// FirstError returns the first error that is not nil.
func FirstError(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// AllBytes returns a string with every byte once.
func AllBytes() string {
	all := make([]byte, 256)
	for i := range all {
		all[i] = byte(i)
	}
	return string(all)
}

// LongName extends a name to the greatest length that a name may have.
func LongName(name string) string { return name + strings.Repeat("x", 128-len(name)) }
