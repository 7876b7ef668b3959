package history

import (
	"math"
	"testing"
	"time"
)

func TestQuantiles(t *testing.T) {
	var h histogram
	for i := range 1000 {
		h.add(time.Duration(i+1) * time.Millisecond)
	}
	for q, want := range map[float64]time.Duration{0.5: 500 * time.Millisecond, 0.9: 900 * time.Millisecond, 0.99: 990 * time.Millisecond, 1: time.Second} {
		if got := h.quantile(q); got < want || got > want*5/4 {
			t.Errorf("quantile %v: %v, want %v to %v", q, got, want, want*5/4)
		}
	}
	var odd histogram
	for _, d := range []time.Duration{-1, 0, 1, 2, 3, 5, math.MaxInt64} {
		odd.add(d)
	}
	if got := odd.quantile(1); got != math.MaxInt64 {
		t.Errorf("the longest: %v", got)
	}
}
