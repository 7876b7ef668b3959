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
	"fairlead.dev/internal/handle"
)

// Telemetry makes the spans and the duration metric of one handle.
type Telemetry struct {
	tracer   trace.Tracer
	duration metric.Float64Histogram
	provider string
}

// New returns the telemetry of a handle. The scope is the import path of the
// facet's package; metricName is the name of the duration metric, in seconds.
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

// placeholder is OpenTelemetry's tracer provider in a program that has installed
// none; nil if one was installed before this package was initialised.
var placeholder = func() trace.TracerProvider {
	p := otel.GetTracerProvider()
	_, span := p.Tracer("").Start(context.Background(), "")
	defer span.End()
	if span.SpanContext().IsValid() {
		return nil
	}
	return p
}()

// isTraced reports whether the program has installed a tracer provider. Without
// one, even an empty span would cost three allocations a call.
func isTraced() bool { return otel.GetTracerProvider() != placeholder }

// Operation is one kind of call on one handle. The attributes of its spans and
// its metric are prebuilt: a call builds none.
type Operation struct {
	*Telemetry
	op            string // for errors, for example "kv.Get"
	spanName      string
	startOptions  []trace.SpanStartOption
	recordOptions [fairlead.Internal + 1][]metric.RecordOption // by code
	everyError    bool
	object        string // for errors, for example `store "users"`
}

// About sets what the operation is about, which its errors name: for example
// `store "users"`.
func (o *Operation) About(object string) *Operation {
	o.object = object
	return o
}

// MarkEveryError makes every error one of the span, also those that a program
// expects of a backend. It returns o.
func (o *Operation) MarkEveryError() *Operation {
	o.everyError = true
	return o
}

// Operation returns an operation. The name op appears in errors, spanName in
// traces.
func (t *Telemetry) Operation(op, spanName string, kind trace.SpanKind, attrs ...attribute.KeyValue) *Operation {
	o := &Operation{
		Telemetry: t, op: op, spanName: spanName,
		startOptions: []trace.SpanStartOption{trace.WithSpanKind(kind), trace.WithAttributes(attrs...)},
	}
	o.recordOptions[0] = newRecordOptions(attrs)
	for _, c := range fairlead.Codes() {
		o.recordOptions[c] = newRecordOptions(append(attrs[:len(attrs):len(attrs)], errorType(c)))
	}
	return o
}

func newRecordOptions(attrs []attribute.KeyValue) []metric.RecordOption {
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
	began time.Time // zero if the duration is not measured
}

// Start begins a call.
func (o *Operation) Start(ctx context.Context) (context.Context, Call) {
	c := Call{Operation: o, ctx: ctx, Span: noSpan}
	if isTraced() {
		c.ctx, c.Span = o.tracer.Start(ctx, o.spanName, o.startOptions...)
	}
	if o.duration.Enabled(ctx) {
		c.began = time.Now()
	}
	return c.ctx, c
}

// End ends a call, and returns err annotated with the operation and the provider's
// name. NotFound, Canceled and Conflict are not errors of the span: they are answers
// that a program expects.
func (c Call) End(err error) error { return c.EndWithKey("", err) }

// EndWithKey is End of a call about one key, which the error names.
func (c Call) EndWithKey(key string, err error) error {
	code := fairlead.CodeOf(err)
	if !c.began.IsZero() {
		c.duration.Record(c.ctx, time.Since(c.began).Seconds(), c.recordOptions[code]...)
	}
	if c.Span.IsRecording() {
		c.markError(code, err)
	}
	c.Span.End()
	return handle.Annotate(err, c.op, c.provider, c.object, key)
}

func (c Call) markError(code fairlead.Code, err error) {
	switch code {
	case 0:
		return
	case fairlead.NotFound, fairlead.Canceled, fairlead.Conflict:
		if !c.everyError {
			return
		}
	}
	c.Span.SetAttributes(errorType(code))
	c.Span.SetStatus(codes.Error, err.Error())
}
