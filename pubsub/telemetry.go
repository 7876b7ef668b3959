package pubsub

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"

	"fairlead.dev"
	"fairlead.dev/internal/handle"
	"fairlead.dev/internal/telemetry"
)

const scope = "fairlead.dev/pubsub"

func newTelemetry(h *handle.Handle) *telemetry.Telemetry {
	return telemetry.New(scope, "messaging.client.operation.duration", h.Provider)
}

func topicAttributes(h *handle.Handle, topic string) []attribute.KeyValue {
	return []attribute.KeyValue{
		attribute.String("messaging.system", h.System),
		attribute.String("messaging.destination.name", topic),
	}
}

// objectOf names a topic, and a group if there is one, in an error.
func objectOf(topic, group string) string {
	if group == "" {
		return fmt.Sprintf("topic %q", topic)
	}
	return fmt.Sprintf("topic %q, group %q", topic, group)
}

// newOperation prebuilds an operation by the messaging conventions: the span's
// name is, for example, "send orders".
func newOperation(t *telemetry.Telemetry, op, kind, topic string, span trace.SpanKind, attrs []attribute.KeyValue) *telemetry.Operation {
	attrs = append(slices.Clone(attrs),
		attribute.String("messaging.operation.name", kind),
		attribute.String("messaging.operation.type", kind))
	return t.Operation(op, kind+" "+topic, span, attrs...)
}

// counter is a metric with its attributes prebuilt.
type counter struct {
	metric.Int64Counter
	opts []metric.AddOption
}

func newCounter(name, description string, attrs []attribute.KeyValue) counter {
	c, err := otel.Meter(scope).Int64Counter(name, metric.WithUnit("{message}"), metric.WithDescription(description))
	if err != nil {
		otel.Handle(err)
	}
	return counter{c, []metric.AddOption{metric.WithAttributeSet(attribute.NewSet(attrs...))}}
}

func (c counter) add(ctx context.Context, n int) {
	if n > 0 {
		c.Add(ctx, int64(n), c.opts...)
	}
}

// injectTraceContext returns the metadata with the trace context of ctx, if
// there is one. It does not change the map that it is given.
func injectTraceContext(ctx context.Context, metadata map[string]string) map[string]string {
	if !trace.SpanContextFromContext(ctx).IsValid() {
		return metadata
	}
	carrier := propagation.MapCarrier{}
	maps.Copy(carrier, metadata)
	propagation.TraceContext{}.Inject(ctx, carrier)
	return carrier
}

// extractTraceContext returns ctx with the trace context in the metadata.
func extractTraceContext(ctx context.Context, metadata map[string]string) context.Context {
	return propagation.TraceContext{}.Extract(ctx, propagation.MapCarrier(metadata))
}

// copyDescription returns a copy of the handle's description that the caller
// may change.
func copyDescription(h *handle.Handle) fairlead.FacetDescription {
	d := h.Facet
	d.Claims, d.Missing = slices.Clone(d.Claims), slices.Clone(d.Missing)
	return d
}
