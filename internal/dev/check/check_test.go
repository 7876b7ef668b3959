package check

import (
	"errors"
	"fmt"
	"runtime"
	"testing"

	"fairlead.dev"
)

// recorder records the failures of a check.
type recorder struct {
	testing.TB
	failures []string
}

func (*recorder) Helper() {}

func (r *recorder) Errorf(format string, args ...any) {
	r.failures = append(r.failures, fmt.Sprintf(format, args...))
}

func (r *recorder) Fatal(args ...any) {
	r.failures = append(r.failures, fmt.Sprint(args...))
	runtime.Goexit()
}

// failures returns how often a check failed.
func failures(check func(testing.TB)) int {
	r, done := &recorder{}, make(chan struct{})
	go func() {
		defer close(done)
		check(r)
	}()
	<-done
	return len(r.failures)
}

// TestChecks shows each check something that holds and something that does not.
func TestChecks(t *testing.T) {
	conflict := fairlead.Errorf(fairlead.Conflict, "taken")
	for _, c := range []struct {
		name  string
		want  int
		check func(testing.TB)
	}{
		{"no error", 0, func(t testing.TB) { NoError(t, nil) }},
		{"an error", 1, func(t testing.TB) { NoError(t, errors.New("broken")) }},
		{"the code", 0, func(t testing.TB) { Code(t, conflict, fairlead.Conflict) }},
		{"another code", 1, func(t testing.TB) { Code(t, conflict, fairlead.NotFound) }},
		{"no error, and a code is wanted", 1, func(t testing.TB) { Code(t, nil, fairlead.NotFound) }},
		{"at the third look", 0, func(t testing.TB) {
			looks := 0
			Eventually(t, "the third look", func() bool { looks++; return looks == 3 })
		}},
	} {
		if got := failures(c.check); got != c.want {
			t.Errorf("%s: %d failures, want %d", c.name, got, c.want)
		}
	}
}
