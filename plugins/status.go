package plugins

import (
	"context"
	"time"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
)

// State is what a plugin is at.
type State string

// The states.
const (
	Stopped    State = "stopped"    // nobody uses it
	Starting   State = "starting"   // its process is being started
	Running    State = "running"    // its process serves
	Restarting State = "restarting" // its process has ended, and is started after a pause
	Failed     State = "failed"     // it cannot be started, or is in a crash loop
)

// Status says how a plugin of a [Host] is.
type Status struct {
	Name string
	PID  int // of the process; 0 if there is none
	// Generation counts the processes that were started. A restart is a start
	// that is not the first.
	Generation, Restarts uint64
	State                State
	Since                time.Time // when the state began
	LastError            error     // why the last process ended or did not start; may be long past
}

// metrics tells OpenTelemetry how the plugins are.
type metrics struct {
	restarts metric.Int64Counter
	upGauge    metric.Int64Gauge
}

func newMetrics() *metrics {
	meter := otel.Meter("fairlead.dev/plugins")
	restarts, err := meter.Int64Counter("fairlead.plugin.restarts",
		metric.WithUnit("{restart}"), metric.WithDescription("Starts of a plugin's process after the first."))
	if err != nil {
		otel.Handle(err)
	}
	alive, err := meter.Int64Gauge("fairlead.plugin.up",
		metric.WithUnit("1"), metric.WithDescription("1 while a plugin's process serves, else 0."))
	if err != nil {
		otel.Handle(err)
	}
	return &metrics{restarts: restarts, upGauge: alive}
}

func pluginAttribute(name string) metric.MeasurementOption {
	return metric.WithAttributeSet(attribute.NewSet(attribute.String("fairlead.plugin.name", name)))
}

func (m *metrics) recordUp(name string, again bool) {
	ctx := context.Background()
	m.upGauge.Record(ctx, 1, pluginAttribute(name))
	if again {
		m.restarts.Add(ctx, 1, pluginAttribute(name))
	}
}

func (m *metrics) recordDown(name string) { m.upGauge.Record(context.Background(), 0, pluginAttribute(name)) }
