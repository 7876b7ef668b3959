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

// double is a driver call whose result of an operation is its double.
func double(_ context.Context, ops []int) []int {
	out := make([]int, len(ops))
	for i, op := range ops {
		out[i] = 2 * op
	}
	return out
}

// length returns the size of an operation: its value, in MiB.
func length(op int) int { return op << 20 }

func TestEveryCallerGetsItsResult(t *testing.T) {
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

// TestLargeBatches shows that every caller gets its own result where more callers
// wait than one call takes, and where one call takes many.
func TestLargeBatches(t *testing.T) {
	for _, l := range []fairlead.Limits{{MaxBatch: 100, Pipelines: 1}, {MaxBatch: 1000, Pipelines: 1}, {MaxBatch: 300, Pipelines: 3}} {
		synctest.Test(t, func(t *testing.T) {
			var mu sync.Mutex
			largest := 0
			b := New(l, func(int) int { return 1 }, func(ctx context.Context, ops []int) []int {
				mu.Lock()
				largest = max(largest, len(ops))
				mu.Unlock()
				time.Sleep(time.Second)
				return double(ctx, ops)
			})
			var wg sync.WaitGroup
			for op := range 1200 {
				wg.Go(func() {
					if r, err := b.ExecuteOne(t.Context(), op); err != nil || r != 2*op {
						t.Errorf("ExecuteOne(%d) = %d, %v", op, r, err)
					}
				})
			}
			wg.Wait()
			if largest != l.MaxBatch {
				t.Errorf("the largest call has %d operations, want %d: the test shows nothing", largest, l.MaxBatch)
			}
		})
	}
}

// TestCallersShareACall shows that callers that come during a call share the next.
func TestCallersShareACall(t *testing.T) {
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

// TestBytesOfACallAreBounded shows that large operations share no call, except in
// ExecuteTogether.
func TestBytesOfACallAreBounded(t *testing.T) {
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

func TestCallerGivesUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		var served []int
		b := New(fairlead.Limits{MaxBatch: 8, Pipelines: 1}, length, func(ctx context.Context, ops []int) []int {
			served = append(served, ops...)
			<-release
			return double(ctx, ops)
		})
		results := make(chan error, 4)
		start := func(ctx context.Context, op int) {
			go func() {
				_, err := b.ExecuteOne(ctx, op)
				results <- err
			}()
			synctest.Wait()
		}
		start(t.Context(), 1) // makes its own call
		waiting, cancel := context.WithCancel(t.Context())
		start(waiting, 2)
		cancel()
		if err := <-results; !errors.Is(err, fairlead.Canceled) {
			t.Errorf("gave up in the queue: %v, want canceled", err)
		}
		handedOver, cancel := context.WithCancel(t.Context())
		start(handedOver, 3)
		start(t.Context(), 4)
		release <- struct{}{} // ends the call of 1; 3 and 4 are handed over
		synctest.Wait()
		<-results
		cancel()
		if err := <-results; !errors.Is(err, fairlead.UnknownOutcome) {
			t.Errorf("gave up after it was handed over: %v, want unknown outcome", err)
		}
		release <- struct{}{}
		if err := <-results; err != nil {
			t.Errorf("a caller that shared the call of one that gave up: %v", err)
		}
		if len(served) != 3 {
			t.Errorf("served %v, want 1, 3 and 4", served)
		}
	})
}

func TestClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := New(fairlead.Limits{MaxBatch: 8, Pipelines: 1}, length, func(ctx context.Context, ops []int) []int {
			time.Sleep(time.Second)
			return double(ctx, ops)
		})
		results := make(chan error, 2)
		for i := range 2 {
			go func() {
				_, err := b.ExecuteOne(t.Context(), i)
				results <- err
			}()
		}
		synctest.Wait()
		if err := b.Close(t.Context()); err != nil {
			t.Error(err)
		}
		if err := errors.Join(<-results, <-results); err != nil {
			t.Errorf("a call under way when Close was called: %v", err)
		}
		if _, err := b.ExecuteOne(t.Context(), 1); !errors.Is(err, fairlead.Closed) {
			t.Errorf("after Close: %v", err)
		}
	})
}

// BenchmarkExecuteOne measures a lone caller and 16 concurrent ones for each
// processor.
func BenchmarkExecuteOne(b *testing.B) {
	for name, parallelism := range map[string]int{"lone": 0, "concurrent": 16} {
		b.Run(name, func(b *testing.B) {
			batcher := New(fairlead.Limits{MaxBatch: 64, Pipelines: 1}, length, double)
			defer batcher.Close(b.Context())
			b.ReportAllocs()
			if parallelism == 0 {
				for b.Loop() {
					_, _ = batcher.ExecuteOne(b.Context(), 1)
				}
				return
			}
			b.SetParallelism(parallelism)
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					_, _ = batcher.ExecuteOne(b.Context(), 1)
				}
			})
		})
	}
}

// TestMoreCallersThanACallTakes has several times as many callers as one call takes
// operations: each gets its own result.
func TestMoreCallersThanACallTakes(t *testing.T) {
	const callers, maxBatch = 700, 64
	synctest.Test(t, func(t *testing.T) {
		largest := 0
		b := New(fairlead.Limits{MaxBatch: maxBatch, Pipelines: 1}, func(int) int { return 1 }, func(ctx context.Context, ops []int) []int {
			largest = max(largest, len(ops))
			time.Sleep(time.Second)
			return double(ctx, ops)
		})
		var wg sync.WaitGroup
		for i := range callers {
			wg.Go(func() {
				for j := range 3 {
					op := i*3 + j
					if r, err := b.ExecuteOne(t.Context(), op); err != nil || r != 2*op {
						t.Errorf("ExecuteOne(%d) = %d, %v", op, r, err)
					}
				}
			})
		}
		wg.Wait()
		if largest != maxBatch {
			t.Errorf("the largest call had %d operations", largest)
		}
		if err := b.Close(t.Context()); err != nil {
			t.Error(err)
		}
	})
}
