package plugins

import (
	"context"
	"time"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
)

// State is the state of a plugin.
type State string

// The states.
const (
	Stopped    State = "stopped"    // not used by any provider
	Starting   State = "starting"   // its process is being started
	Running    State = "running"    // its process serves
	Restarting State = "restarting" // its process has ended and will be started after a pause
	Failed     State = "failed"     // it cannot be started, or is in a crash loop
)

// Status is the status of a plugin of a [Host].
type Status struct {
	Name string
	PID  int // the process id; 0 if no process runs
	// Generation counts the processes that were started. Restarts counts those
	// after the first.
	Generation, Restarts uint64
	State                State
	Since                time.Time // when the state began
	LastError            error     // why a process last ended or did not start; kept after a restart
}

// metrics are the OpenTelemetry instruments of a host.
type metrics struct {
	restarts metric.Int64Counter
	upGauge  metric.Int64Gauge
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

func (m *metrics) recordUp(name string, restarted bool) {
	ctx := context.Background()
	m.upGauge.Record(ctx, 1, pluginAttribute(name))
	if restarted {
		m.restarts.Add(ctx, 1, pluginAttribute(name))
	}
}

func (m *metrics) recordDown(name string) {
	m.upGauge.Record(context.Background(), 0, pluginAttribute(name))
}
