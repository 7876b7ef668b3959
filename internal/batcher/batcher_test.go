package batcher

import (
	"context"
	"errors"
	"reflect"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"fairlead.dev"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// call is a driver call that answers every operation with its double.
func double(_ context.Context, ops []int) []int {
	out := make([]int, len(ops))
	for i, op := range ops {
		out[i] = 2 * op
	}
	return out
}

// length is that of an operation: its value, in MiB.
func length(op int) int { return op << 20 }

func TestBatcherAnswersEveryCallerItsOwn(t *testing.T) {
	for _, limits := range []fairlead.Limits{{}, {MaxBatch: 7, Pipelines: 1}, {MaxBatch: 64, Pipelines: 2}} {
		b := New(limits, length, double)
		var wg sync.WaitGroup
		for i := range 64 {
			wg.Go(func() {
				for j := range 200 {
					op := i*200 + j
					if r, err := b.ExecuteOne(t.Context(), op); err != nil || r != 2*op {
						t.Errorf("ExecuteOne(%d) = %d, %v", op, r, err)
					}
				}
			})
		}
		wg.Wait()
		if err := b.Close(t.Context()); err != nil {
			t.Error(err)
		}
	}
}

// TestBatcherGathers shows that those who come during a call share the next.
func TestBatcherGathers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var sizes []int
		b := New(fairlead.Limits{MaxBatch: 8, Pipelines: 1}, length, func(ctx context.Context, ops []int) []int {
			sizes = append(sizes, len(ops))
			time.Sleep(time.Second)
			return double(ctx, ops)
		})
		var wg sync.WaitGroup
		for range 11 {
			wg.Go(func() {
				if _, err := b.ExecuteOne(t.Context(), 1); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if len(sizes) != 3 || sizes[0] != 1 || sizes[1] != 8 || sizes[2] != 2 {
			t.Errorf("calls of %v operations, want 1, 8, 2", sizes)
		}
	})
}

// TestBatcherBoundsBytes shows that large operations share no call, and that
// those which belong together do.
func TestBatcherBoundsBytes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var calls [][]int
		b := New(fairlead.Limits{MaxBatch: 8, Pipelines: 1}, length, func(ctx context.Context, ops []int) []int {
			calls = append(calls, ops)
			time.Sleep(time.Second)
			return double(ctx, ops)
		})
		var wg sync.WaitGroup
		for _, op := range []int{1, 10, 6, 1, 40, 2} { // MiB
			wg.Go(func() {
				if r, err := b.ExecuteOne(t.Context(), op); err != nil || r != 2*op {
					t.Errorf("ExecuteOne(%d) = %d, %v", op, r, err)
				}
			})
			synctest.Wait()
		}
		wg.Wait()
		want := [][]int{{1}, {10, 6}, {1}, {40}, {2}}
		if !reflect.DeepEqual(calls, want) {
			t.Errorf("calls of %v MiB, want %v", calls, want)
		}
		calls = nil
		if r, err := b.ExecuteMany(t.Context(), []int{9, 9, 1}); err != nil || !slices.Equal(r, []int{18, 18, 2}) || len(calls) != 2 {
			t.Errorf("ExecuteMany: %v, %v, calls of %v", r, err, calls)
		}
		calls = nil
		if r, err := b.ExecuteTogether(t.Context(), []int{9, 9, 1}); err != nil || !slices.Equal(r, []int{18, 18, 2}) || len(calls) != 1 {
			t.Errorf("ExecuteTogether: %v, %v, calls of %v", r, err, calls)
		}
	})
}

func TestBatcherCallerGivesUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		var served []int
		b := New(fairlead.Limits{MaxBatch: 8, Pipelines: 1}, length, func(ctx context.Context, ops []int) []int {
			served = append(served, ops...)
			<-release
			return double(ctx, ops)
		})
		answer := make(chan error, 4)
		do := func(ctx context.Context, op int) {
			go func() {
				_, err := b.ExecuteOne(ctx, op)
				answer <- err
			}()
			synctest.Wait()
		}
		do(t.Context(), 1) // straight through
		waiting, cancel := context.WithCancel(t.Context())
		do(waiting, 2)
		cancel()
		if err := <-answer; !errors.Is(err, fairlead.Canceled) {
			t.Errorf("gave up in the queue: %v, want canceled", err)
		}
		handedOver, cancel := context.WithCancel(t.Context())
		do(handedOver, 3)
		do(t.Context(), 4)
		release <- struct{}{} // answers 1; 3 and 4 are handed over
		synctest.Wait()
		<-answer
		cancel()
		if err := <-answer; !errors.Is(err, fairlead.UnknownOutcome) {
			t.Errorf("gave up after it was handed over: %v, want unknown outcome", err)
		}
		release <- struct{}{}
		if err := <-answer; err != nil {
			t.Errorf("a neighbour of one who gave up: %v", err)
		}
		if len(served) != 3 {
			t.Errorf("served %v, want 1, 3 and 4", served)
		}
	})
}

func TestBatcherClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := New(fairlead.Limits{MaxBatch: 8, Pipelines: 1}, length, func(ctx context.Context, ops []int) []int {
			time.Sleep(time.Second)
			return double(ctx, ops)
		})
		answers := make(chan error, 2)
		for i := range 2 {
			go func() {
				_, err := b.ExecuteOne(t.Context(), i)
				answers <- err
			}()
		}
		synctest.Wait()
		if err := b.Close(t.Context()); err != nil {
			t.Error(err)
		}
		if err := errors.Join(<-answers, <-answers); err != nil {
			t.Errorf("a call under way when Close was called: %v", err)
		}
		if _, err := b.ExecuteOne(t.Context(), 1); !errors.Is(err, fairlead.Closed) {
			t.Errorf("after Close: %v", err)
		}
	})
}
