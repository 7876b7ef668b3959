// Package contest helps benchmarks that compare a provider with the client of its
// backend.
package contest

import (
	"slices"
	"sync"
	"testing"
	"time"
)

// turn is how long one side runs before the other side's turn.
const turn = 40 * time.Millisecond

// Run calls ours and theirs in turns for the benchmark's time. It reports the ratio
// of our rate to theirs as "x-opponent", and our rate as "rounds/s". Both are medians
// over pairs of adjacent turns, so that other load on the machine affects both sides
// alike.
func Run(b *testing.B, opponent string, ours, theirs func() error) {
	b.Helper()
	measureRate := func(f func() error) func() float64 {
		return func() float64 {
			n, start := 0, time.Now()
			for time.Since(start) < turn {
				if err := f(); err != nil {
					b.Fatal(err)
				}
				n++
			}
			return float64(n) / time.Since(start).Seconds()
		}
	}
	Rates(b, opponent, measureRate(ours), measureRate(theirs))
}

// Rates is like Run, for functions that run one turn each and return the rate.
func Rates(b *testing.B, opponent string, ours, theirs func() float64) {
	b.Helper()
	ours() // warms up
	theirs()
	var ratios, rates []float64
	for b.Loop() {
		var o, t float64
		if len(ratios)%2 == 0 { // neither side is always first
			o, t = ours(), theirs()
		} else {
			t, o = theirs(), ours()
		}
		ratios, rates = append(ratios, o/t), append(rates, o)
	}
	slices.Sort(ratios)
	slices.Sort(rates)
	b.ReportMetric(ratios[len(ratios)/2], "x-"+opponent)
	b.ReportMetric(rates[len(rates)/2], "rounds/s")
	b.ReportMetric(0, "ns/op") // the time of a pair of turns is meaningless
}

// Callers returns a function that runs call from n goroutines at once, the given
// number of times in each.
func Callers(n, times int, call func(i int) error) func() error {
	return func() error {
		errs := make(chan error, n)
		var wg sync.WaitGroup
		for i := range n {
			wg.Go(func() {
				for range times {
					if err := call(i); err != nil {
						errs <- err
						return
					}
				}
			})
		}
		wg.Wait()
		close(errs)
		return <-errs
	}
}
