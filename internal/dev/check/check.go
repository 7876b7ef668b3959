// Package check holds the small assertions that the tests of many packages
// share.
package check

import (
	"testing"
	"time"

	"fairlead.dev"
)

// NoError ends the test if err is not nil.
func NoError(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// Code fails the test unless err has the code; 0 is no error.
func Code(t testing.TB, err error, want fairlead.Code) {
	t.Helper()
	if got := fairlead.CodeOf(err); got != want {
		t.Errorf("the error %v has the code %q, want %q", err, got, want)
	}
}

// patience is how long Eventually waits: a slow machine fails no test.
const patience = 30 * time.Second

// Eventually polls until ok returns true, and ends the test if that takes more
// than half a minute. what says what ok waits for.
func Eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("not within %v: %s", patience, what)
		}
	}
}
