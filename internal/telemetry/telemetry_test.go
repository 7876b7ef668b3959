package telemetry

import (
	"context"
	"errors"
	"testing"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"

	"fairlead.dev"
)

func newTestOperation() *Operation {
	return New("fairlead.dev/test", "db.client.operation.duration", "memory").
		Operation("kv.Get", "get users", trace.SpanKindClient, attribute.String("db.operation.name", "get"))
}

// BenchmarkTelemetryWithoutSDK measures the cost of a call in a program that has
// not installed an OpenTelemetry SDK.
func BenchmarkTelemetryWithoutSDK(b *testing.B) {
	o, ctx := newTestOperation(), context.Background()
	b.ReportAllocs()
	for b.Loop() {
		_, call := o.Start(ctx)
		_ = call.End(nil)
	}
}

// TestTelemetryWithoutSDKAllocatesOnce runs before any SDK is installed: the
// tests of this file run in order.
func TestTelemetryWithoutSDKAllocatesOnce(t *testing.T) {
	o, ctx := newTestOperation(), context.Background()
	n := testing.AllocsPerRun(1000, func() {
		_, call := o.Start(ctx)
		_ = call.End(nil)
	})
	if n > 1 {
		t.Errorf("%v allocations a call, want at most 1", n)
	}
}

func TestSpansAndMetrics(t *testing.T) {
	spans := tracetest.NewSpanRecorder()
	reader := sdkmetric.NewManualReader()
	otel.SetTracerProvider(sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(spans)))
	otel.SetMeterProvider(sdkmetric.NewMeterProvider(sdkmetric.WithReader(reader)))
	o, ctx := newTestOperation(), context.Background()

	_, call := o.Start(ctx)
	_ = call.End(nil)
	_, call = o.Start(ctx)
	err := call.End(fairlead.Errorf(fairlead.Unavailable, "no server"))
	_, call = o.Start(ctx)
	_ = call.End(fairlead.Errorf(fairlead.NotFound, "no key"))
	_, call = o.Start(ctx)
	_ = call.End(fairlead.Errorf(fairlead.Conflict, "another writer was faster"))
	_, call = newTestOperation().MarkEveryError().Start(ctx)
	_ = call.End(fairlead.Errorf(fairlead.Conflict, "the handler failed"))

	if want := "kv.Get: memory: unavailable: no server"; err.Error() != want || !errors.Is(err, fairlead.Unavailable) {
		t.Errorf("error %q, want %q", err, want)
	}
	for i, want := range []codes.Code{codes.Unset, codes.Error, codes.Unset, codes.Unset, codes.Error} {
		s := spans.Ended()[i]
		if s.Name() != "get users" || s.SpanKind() != trace.SpanKindClient || s.Status().Code != want {
			t.Errorf("span %d: %s %v %v", i, s.Name(), s.SpanKind(), s.Status())
		}
	}
	var data metricdata.ResourceMetrics
	if err := reader.Collect(ctx, &data); err != nil {
		t.Fatal(err)
	}
	points := data.ScopeMetrics[0].Metrics[0].Data.(metricdata.Histogram[float64]).DataPoints
	byError := map[string]uint64{}
	for _, p := range points {
		v, _ := p.Attributes.Value("error.type")
		byError[v.AsString()] += p.Count
	}
	if len(points) != 4 || byError[""] != 1 || byError["unavailable"] != 1 || byError["not found"] != 1 || byError["conflict"] != 2 {
		t.Errorf("points by error.type: %v", byError)
	}
}
