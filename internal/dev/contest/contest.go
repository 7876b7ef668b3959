// Package contest is for benchmarks that compare a provider with its backend's
// own client.
package contest

import (
	"slices"
	"sync"
	"testing"
	"time"
)

// turn is how long one side runs before the other one has its turn.
const turn = 40 * time.Millisecond

// Run calls ours and theirs in turns for the benchmark's time, and reports how
// many times as fast ours is, as "x-opponent", and its own rounds per second: the medians
// over pairs of neighbouring turns, so that what else the machine does hits both
// alike.
func Run(b *testing.B, opponent string, ours, theirs func() error) {
	b.Helper()
	rate := func(f func() error) func() float64 {
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
	Rates(b, opponent, rate(ours), rate(theirs))
}

// Rates is Run for sides that have a turn, and return their rate, by themselves.
func Rates(b *testing.B, opponent string, ours, theirs func() float64) {
	b.Helper()
	ours() // warms up
	theirs()
	var ratios, rates []float64
	for b.Loop() {
		var o, t float64
		if len(ratios)%2 == 0 { // neither side is always the first
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
	b.ReportMetric(0, "ns/op") // of a pair of turns: says nothing
}

// Callers returns what runs call from n goroutines at once, a few times each.
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
