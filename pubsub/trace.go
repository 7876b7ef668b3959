package pubsub

import (
	"context"
	"maps"

	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"
)

// inject returns the metadata with the trace context of ctx, if it has one.
// The map that was passed in is not changed.
func inject(ctx context.Context, metadata map[string]string) map[string]string {
	if !trace.SpanContextFromContext(ctx).IsValid() {
		return metadata
	}
	carrier := propagation.MapCarrier{}
	maps.Copy(carrier, metadata)
	propagation.TraceContext{}.Inject(ctx, carrier)
	return carrier
}

// extract returns ctx with the trace context that the metadata carries.
func extract(ctx context.Context, metadata map[string]string) context.Context {
	return propagation.TraceContext{}.Extract(ctx, propagation.MapCarrier(metadata))
}
