package main

import (
	"cmp"
	"fmt"
	"slices"
	"sync"
	"time"
)

// contestant is one way of making a call.
type contestant struct {
	name string
	call func(caller int) error
	rate []float64       // calls per second, one for each round
	p50  []time.Duration // of a lone caller, one for each round
}

// takeTurns lets the contestants take turns for some rounds, so that other load on
// the machine affects them all.
func takeTurns(all []*contestant, callers, rounds int, turn time.Duration) error {
	for _, c := range all {
		if err := c.runTurn(callers, turn/4); err != nil { // warms up
			return fmt.Errorf("%s: %w", c.name, err)
		}
		c.rate, c.p50 = nil, nil
	}
	for range rounds {
		for _, c := range all {
			if err := c.runTurn(callers, turn); err != nil {
				return fmt.Errorf("%s: %w", c.name, err)
			}
		}
	}
	return nil
}

// runTurn makes calls for one turn, from several goroutines.
func (c *contestant) runTurn(callers int, turn time.Duration) error {
	var wg sync.WaitGroup
	times := make([][]time.Duration, callers)
	errs := make([]error, callers)
	began := time.Now()
	end := began.Add(turn)
	for i := range callers {
		wg.Go(func() {
			for before := time.Now(); before.Before(end); {
				if errs[i] = c.call(i); errs[i] != nil {
					return
				}
				after := time.Now()
				times[i] = append(times[i], after.Sub(before))
				before = after
			}
		})
	}
	wg.Wait()
	took := time.Since(began)
	all := slices.Concat(times...)
	slices.Sort(all)
	c.rate = append(c.rate, float64(len(all))/took.Seconds())
	if len(all) > 0 {
		c.p50 = append(c.p50, all[len(all)/2])
	}
	return cmp.Or(errs...)
}

// formatRatios formats the ratios of the rounds: the median, the least and the
// greatest.
func formatRatios(a, b []float64) string {
	ratios := make([]float64, min(len(a), len(b)))
	for i := range ratios {
		ratios[i] = a[i] / b[i]
	}
	slices.Sort(ratios)
	return fmt.Sprintf("%.2f (%.2f–%.2f)", ratios[len(ratios)/2], ratios[0], ratios[len(ratios)-1])
}

func median[T cmp.Ordered](all []T) T {
	sorted := slices.Sorted(slices.Values(all))
	return sorted[len(sorted)/2]
}
