package fairlead_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"fairlead.dev"
)

func TestClosersCloseTheLastFirst(t *testing.T) {
	var order []string
	var opened fairlead.Closers
	first, second := errors.New("first failed"), errors.New("second failed")
	opened.Add(closerOf(&order, "first", first))
	opened.Add(closerOf(&order, "second", second))
	opened.Add(closerOf(&order, "third", nil))
	err := opened.Close(t.Context())
	if !slices.Equal(order, []string{"third", "second", "first"}) {
		t.Errorf("closed in the order %v", order)
	}
	if !errors.Is(err, first) || !errors.Is(err, second) {
		t.Errorf("the errors are %v", err)
	}
	if err := opened.Close(t.Context()); err != nil || len(order) != 3 {
		t.Errorf("closed again: %v, %v", order, err)
	}
}

func closerOf(order *[]string, name string, err error) fairlead.Closer {
	return fairlead.CloserFunc(func(context.Context) error {
		*order = append(*order, name)
		return err
	})
}

// TestClosersLeaveBehindWhatHangs shows that the other closers are closed although
// one of them never returns.
func TestClosersLeaveBehindWhatHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var opened fairlead.Closers
		var ended error
		hang := make(chan struct{})
		defer close(hang)
		opened.Add(fairlead.CloserFunc(func(ctx context.Context) error {
			ended = ctx.Err()
			return nil
		}))
		opened.Add(fairlead.CloserFunc(func(context.Context) error {
			<-hang
			return nil
		}))
		began := time.Now()
		err := opened.CloseWithin(time.Minute)
		if fairlead.CodeOf(err) != fairlead.DeadlineExceeded || time.Since(began) != time.Minute+time.Second {
			t.Errorf("%v after %v", err, time.Since(began))
		}
		if !errors.Is(ended, context.DeadlineExceeded) {
			t.Errorf("the closer after the one that hangs got a context with %v", ended)
		}
	})
}

func ExampleClosers() {
	var opened fairlead.Closers
	for _, name := range []string{"provider", "store"} {
		opened.Add(fairlead.CloserFunc(func(context.Context) error {
			fmt.Println("close the", name)
			return nil
		}))
	}
	fmt.Println(opened.CloseWithin(10 * time.Second))
	// Output:
	// close the store
	// close the provider
	// <nil>
}

// TestClosersPanic shows that a closer that does not return is reported, and that
// the others are closed.
func TestClosersPanic(t *testing.T) {
	var order []string
	var opened fairlead.Closers
	opened.Add(closerOf(&order, "first", nil))
	opened.Add(fairlead.CloserFunc(func(context.Context) error { panic("broken") }))
	opened.Add(fairlead.CloserFunc(func(context.Context) error { runtime.Goexit(); return nil }))
	err := opened.Close(t.Context())
	if fairlead.CodeOf(err) != fairlead.Internal || !strings.Contains(err.Error(), "panicked: broken") || !strings.Contains(err.Error(), "ended its goroutine") || len(order) != 1 {
		t.Errorf("%v, closed %v", err, order)
	}
}

func TestClosersRefuseNil(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Error("Add takes a nil closer")
		}
	}()
	new(fairlead.Closers).Add(nil)
}
