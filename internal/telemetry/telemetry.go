// Package telemetry makes the spans and the duration metrics of the facets.
package telemetry

import (
	"context"
	"time"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/trace"

	"fairlead.dev"
)

// Telemetry makes the spans and the duration metric of one handle.
type Telemetry struct {
	tracer   trace.Tracer
	duration metric.Float64Histogram
	provider string
}

// New returns the telemetry of a facet. The scope is the import path
// of its package; metricName that of its duration, in seconds.
func New(scope, metricName, provider string) *Telemetry {
	duration, err := otel.Meter(scope).Float64Histogram(metricName,
		metric.WithUnit("s"),
		metric.WithDescription("Duration of the operation."),
		metric.WithExplicitBucketBoundaries(0.0001, 0.0005, 0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5, 10))
	if err != nil {
		otel.Handle(err)
	}
	return &Telemetry{tracer: otel.Tracer(scope), duration: duration, provider: provider}
}

// noSpan is the span of a call in a program that has no tracer provider.
var noSpan = trace.SpanFromContext(context.Background())

// placeholder is the tracer provider of a program that has installed none; nil
// if one was installed before this package was initialised.
var placeholder = func() trace.TracerProvider {
	p := otel.GetTracerProvider()
	_, span := p.Tracer("").Start(context.Background(), "")
	defer span.End()
	if span.SpanContext().IsValid() {
		return nil
	}
	return p
}()

// traced reports whether the program has installed a tracer provider. Without
// one, even an empty span costs three allocations a call.
func traced() bool { return otel.GetTracerProvider() != placeholder }

// Operation is one kind of call on one handle, with everything prebuilt that
// its span and its metric need: a call builds no attribute.
type Operation struct {
	*Telemetry
	op     string // as "kv.Get", for errors
	span   string
	start  []trace.SpanStartOption
	record [fairlead.Internal + 1][]metric.RecordOption // by code
}

// Operation prebuilds an operation.
func (t *Telemetry) Operation(op, span string, kind trace.SpanKind, attrs ...attribute.KeyValue) *Operation {
	o := &Operation{
		Telemetry: t, op: op, span: span,
		start: []trace.SpanStartOption{trace.WithSpanKind(kind), trace.WithAttributes(attrs...)},
	}
	o.record[0] = recordOptions(attrs)
	for _, c := range fairlead.Codes() {
		o.record[c] = recordOptions(append(attrs[:len(attrs):len(attrs)], errorType(c)))
	}
	return o
}

func recordOptions(attrs []attribute.KeyValue) []metric.RecordOption {
	return []metric.RecordOption{metric.WithAttributeSet(attribute.NewSet(attrs...))}
}

func errorType(c fairlead.Code) attribute.KeyValue {
	return attribute.String("error.type", c.String())
}

// Call is one call of an operation.
type Call struct {
	*Operation
	Span  trace.Span
	ctx   context.Context
	began time.Time // zero if nobody measures
}

// Start begins a call. The options are for what only this call knows.
func (o *Operation) Start(ctx context.Context) (context.Context, Call) {
	c := Call{Operation: o, ctx: ctx, Span: noSpan}
	if traced() {
		c.ctx, c.Span = o.tracer.Start(ctx, o.span, o.start...)
	}
	if o.duration.Enabled(ctx) {
		c.began = time.Now()
	}
	return c.ctx, c
}

// End ends a call, and returns err with the operation and the provider's name
// in it. A missing key or an end of the caller's context is not marked as an
// error of the span.
func (c Call) End(err error) error {
	code := fairlead.CodeOf(err)
	if !c.began.IsZero() {
		c.duration.Record(c.ctx, time.Since(c.began).Seconds(), c.record[code]...)
	}
	if c.Span.IsRecording() {
		mark(c.Span, code, err)
	}
	c.Span.End()
	return fairlead.Annotate(err, c.op, c.provider)
}

func mark(span trace.Span, code fairlead.Code, err error) {
	switch code {
	case 0, fairlead.NotFound, fairlead.Canceled:
		return
	}
	span.SetAttributes(errorType(code))
	span.SetStatus(codes.Error, err.Error())
}
