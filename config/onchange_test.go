package config_test

import (
	"context"
	"strconv"
	"testing"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"

	"fairlead.dev/config"
)

// The callback of a field is called only for changes of that field, in order.
func TestOnChangeOfField(t *testing.T) {
	p := open(t, "mem://")
	s := openSource(t, p)
	w := watch[pair](t, config.From(p, "app"))
	lefts, rights := make(chan [2]int, 100), make(chan [2]int, 100)
	config.OnChange(w, func(v *pair) int { return v.Left }, func(old, now int) { lefts <- [2]int{old, now} })
	stop := config.OnChange(w, func(v *pair) int { return v.Right }, func(old, now int) { rights <- [2]int{old, now} })
	step := func(key string, n int) {
		set(t, s, put(key, strconv.Itoa(n)))
		eventually(t, "the change", func() bool { return w.Get().Left == n || w.Get().Right == n }, func() any { return w.Health() })
	}
	step("left", 1)
	step("right", 2)
	step("left", 3)
	for _, want := range [][2]int{{0, 1}, {1, 3}} {
		if got := <-lefts; got != want {
			t.Errorf("Left: got %v, want %v", got, want)
		}
	}
	if got := <-rights; got != [2]int{0, 2} {
		t.Errorf("Right: got %v", got)
	}
	stop()
	step("right", 4)
	step("left", 5)
	<-lefts
	if len(lefts)+len(rights) > 0 {
		t.Errorf("the callbacks were called %d and %d times too often", len(lefts), len(rights))
	}
}

func TestMetric(t *testing.T) {
	before := otel.GetMeterProvider()
	reader := metric.NewManualReader()
	otel.SetMeterProvider(metric.NewMeterProvider(metric.WithReader(reader)))
	t.Cleanup(func() { otel.SetMeterProvider(before) })
	p := open(t, "mem://")
	s := openSource(t, p)
	w := watch[pair](t, config.From(p, "app"))
	set(t, s, both(1)...)
	eventually(t, "the good update", func() bool { return w.Get().Left == 1 }, func() any { return w.Health() })
	set(t, s, put("left", "x"))
	eventually(t, "the bad update", func() bool { return w.Health().Rejected == 1 }, func() any { return w.Health() })
	if err := p.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	want := map[string]int64{`applied memory "app"`: 1, `rejected memory "app"`: 1, `unreachable memory "app"`: 1}
	eventually(t, "the counts", func() bool { return equal(counted(t, reader), want) }, func() any { return counted(t, reader) })
}

func equal(a, b map[string]int64) bool {
	for key, n := range b {
		if a[key] != n {
			return false
		}
	}
	return len(a) == len(b)
}

// counted returns the updates that were counted, by outcome and layer.
func counted(t *testing.T, reader *metric.ManualReader) map[string]int64 {
	var all metricdata.ResourceMetrics
	if err := reader.Collect(context.WithoutCancel(t.Context()), &all); err != nil {
		t.Fatal(err)
	}
	counts := map[string]int64{}
	for _, scope := range all.ScopeMetrics {
		for _, m := range scope.Metrics {
			if m.Name != "fairlead.config.updates" {
				continue
			}
			for _, point := range m.Data.(metricdata.Sum[int64]).DataPoints {
				outcome, _ := point.Attributes.Value("fairlead.config.outcome")
				layer, _ := point.Attributes.Value("fairlead.config.layer")
				counts[outcome.AsString()+" "+layer.AsString()] = point.Value
			}
		}
	}
	return counts
}
