package contained_test

import (
	"errors"
	"runtime"
	"testing"

	"fairlead.dev/internal/contained"
)

func TestCall(t *testing.T) {
	bad := errors.New("bad")
	for want, f := range map[string]func() error{
		"bad":         func() error { return bad },
		"panicked: x": func() error { panic("x") },
		"ended its goroutine (runtime.Goexit, as t.FailNow does)": func() error { runtime.Goexit(); return nil },
	} {
		if err := contained.Call(f); err == nil || err.Error() != want {
			t.Errorf("%v, want %s", err, want)
		}
	}
	if err := contained.Call(func() error { return nil }); err != nil {
		t.Error(err)
	}
}
