package page

import (
	"math"
	"time"

	"fairlead.dev/conformance"
)

// plot is a row of the plot of latencies. The positions are in percent of the width,
// on a logarithmic scale from a microsecond to a hundred seconds.
type plot struct {
	conformance.Latency
	From, To, End float64 // the median, the 99th percentile, and the longest
}

// Width is the length of the bar from the median to the 99th percentile.
func (p plot) Width() float64 { return max(p.To-p.From, 0.5) }

const decades = 8

func plots(all []conformance.Latency) []plot {
	var rows []plot
	for _, l := range all {
		rows = append(rows, plot{l, position(l.P50), position(l.P99), position(l.Max)})
	}
	return rows
}

func position(d time.Duration) float64 {
	decade := math.Log10(float64(max(d, time.Microsecond)) / float64(time.Microsecond))
	return math.Round(1000*min(decade, decades)/decades) / 10
}
