package providers

import (
	"context"
	"errors"
	"testing"

	"fairlead.dev"
)

type testHandle struct {
	open   *Handles[*testHandle]
	closed int
	err    error
	ready  chan struct{} // Close waits for it; may be nil
}

func (h *testHandle) Close(context.Context) error {
	if h.ready != nil {
		<-h.ready
	}
	h.open.Remove(h)
	h.closed++
	return h.err
}

func TestHandles(t *testing.T) {
	var open Handles[*testHandle]
	failure := errors.New("not given back")
	ready := make(chan struct{})
	waits, frees, fails := &testHandle{open: &open, ready: ready}, &testHandle{open: &open}, &testHandle{open: &open, err: failure}
	for _, h := range []*testHandle{waits, frees, fails} {
		if err := open.Add(h); err != nil {
			t.Fatal(err)
		}
	}
	if !open.Remove(frees) || open.Remove(frees) || len(open.All()) != 2 {
		t.Errorf("Remove must be true once; %d are left", len(open.All()))
	}
	// All are closed at the same time: waits ends when another is closed.
	trigger := &testHandle{open: &open}
	if err := open.Add(trigger); err != nil {
		t.Fatal(err)
	}
	go func() {
		for len(open.All()) > 1 {
		}
		close(ready)
	}()
	if err := open.CloseAll(t.Context()); !errors.Is(err, failure) {
		t.Errorf("CloseAll: %v", err)
	}
	if waits.closed != 1 || fails.closed != 1 || trigger.closed != 1 || frees.closed != 0 {
		t.Errorf("closed %d, %d, %d, %d times", waits.closed, fails.closed, trigger.closed, frees.closed)
	}
	if err := open.Add(frees); fairlead.CodeOf(err) != fairlead.Closed || len(open.All()) != 0 {
		t.Errorf("Add after CloseAll: %v, %d open", err, len(open.All()))
	}
	if err := open.CloseAll(t.Context()); err != nil {
		t.Errorf("a second CloseAll: %v", err)
	}
}
