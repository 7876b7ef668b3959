package history

import (
	"math"
	"math/bits"
	"slices"
	"strings"
	"time"

	"fairlead.dev/conformance/internal/intercept"
)

// Latency says how long the calls of one kind took.
type Latency struct {
	Call  string        `json:"call"` // for example "kv.Do"
	Count int           `json:"count"`
	P50   time.Duration `json:"p50_ns"` // half of the calls took no longer; exact to a quarter
	P90   time.Duration `json:"p90_ns"`
	P99   time.Duration `json:"p99_ns"`
	Max   time.Duration `json:"max_ns"`
}

// waits are the calls that wait for something to happen: their times say nothing about
// the backend.
var waits = []string{".Next", ".Receive", ".Accept", ".Recv", ".Await", ".Keep", ".NextListener"}

// steps is how many buckets there are for each doubling of the time.
const steps = 4

// histogram counts calls by the time that they took.
type histogram struct {
	counts [64 * steps]int
	n      int
	max    time.Duration
}

func (h *histogram) add(d time.Duration) {
	d = max(d, 1)
	h.counts[bucket(d)]++
	h.n++
	h.max = max(h.max, d)
}

// bucket returns the bucket of a time: its doubling, and the quarter in it.
func bucket(d time.Duration) int {
	exponent := bits.Len64(uint64(d)) - 1
	quarter := 0
	if exponent >= 2 {
		quarter = int(uint64(d)>>(exponent-2)) & (steps - 1)
	}
	return exponent*steps + quarter
}

// quantile returns a time that the share q of the calls did not exceed, or exceeded by
// a quarter at most.
func (h *histogram) quantile(q float64) time.Duration {
	rank := int(math.Ceil(q * float64(h.n)))
	for i, seen := 0, 0; i < len(h.counts); i++ {
		if seen += h.counts[i]; seen >= rank {
			exponent, quarter := i/steps, i%steps
			end := float64(uint64(1)<<exponent) * (1 + float64(quarter+1)/steps)
			if end < float64(h.max) {
				return time.Duration(end)
			}
			return h.max
		}
	}
	return h.max
}

// measure adds the time of a call.
func (h *History) measure(c *intercept.Call) {
	if slices.ContainsFunc(waits, func(w string) bool { return strings.HasSuffix(c.Op, w) }) {
		return
	}
	took := time.Since(c.Began)
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.times[c.Op] == nil {
		h.times[c.Op] = &histogram{}
	}
	h.times[c.Op].add(took)
}

// Latencies returns the times of all calls so far, by kind.
func (h *History) Latencies() []Latency {
	h.mu.Lock()
	defer h.mu.Unlock()
	var all []Latency
	for op, t := range h.times {
		all = append(all, Latency{op, t.n, t.quantile(0.5), t.quantile(0.9), t.quantile(0.99), t.max})
	}
	slices.SortFunc(all, func(a, b Latency) int { return strings.Compare(a.Call, b.Call) })
	return all
}
