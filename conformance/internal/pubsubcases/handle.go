package pubsubcases

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/otel/trace"

	"fairlead.dev"
	"fairlead.dev/conformance/internal/suite"
	"fairlead.dev/pubsub"
)

var handleCases = []suite.Case{
	{Name: "pubsub/handle", Rule: "Handle handles every message once, acknowledges it, and returns nil when its context ends", Run: withPipe(func(p *pipe) {
		var all tally
		stop := p.sub.handleInBackground(func(_ context.Context, d *pubsub.Delivery) error { all.count(d.Body); return nil })
		want := numberedTexts("m", 50)
		p.publishTexts(want...)
		all.waitUntil(p.T, len(want))
		p.Must(stop())
		wantSame(p.T, "what the handler got", all.texts(), want)
		p.reopen()
		p.sub.wantSilence("the handler dealt with everything")
	})},
	{Name: "pubsub/handler-error", Rule: "a message whose handler fails comes again until it succeeds, and not after that", Run: withPipe(func(p *pipe) {
		wantHandlerRetried(p, func(string) error { return errPoison })
	})},
	{Name: "pubsub/handler-panic", Rule: "a message whose handler panics comes again, and Handle continues with this and other messages", Run: withPipe(func(p *pipe) {
		wantHandlerRetried(p, func(body string) error { panic("handling " + body) })
	})},
	{Name: "pubsub/handler-settles", Rule: "a message that its handler settled stays settled so, whatever the handler returns", Run: withPipe(handlerSettles)},
	{Name: "pubsub/handle-concurrency", Rule: "as many handlers run at once as Concurrency says, if there are enough messages, and never more", Run: withPipe(handleConcurrency)},
	{Name: "pubsub/handle-waits", Rule: "when its context ends, Handle waits for the running handlers, and the messages that they finish are acknowledged", Run: withPipe(handleWaits)},
	{Name: "pubsub/handle-gives-back", Rule: "when its context ends, Handle gives back at once the messages that no handler has begun", Run: withPipe(handleGivesBack)},
	{Name: "pubsub/handle-close", Rule: "when its subscription is closed, Handle returns Closed once its handlers have returned; the messages that they held come again", Run: withPipe(handleClose)},
	{Name: "pubsub/trace", Rule: "the publisher's span is the parent of the handler's span, and the publisher's own metadata arrives too", Run: withPipe(traceContext)},
}

// wantHandlerRetried lets a handler fail on three of the messages, twice on each.
func wantHandlerRetried(p *pipe, fail func(body string) error) {
	var all tally
	done := make(chan struct{}, 100)
	stop := p.sub.handleInBackground(func(_ context.Context, d *pubsub.Delivery) error {
		n := all.count(d.Body)
		if d.Body[0] == 'f' && n <= 2 {
			return fail(string(d.Body))
		}
		done <- struct{}{}
		return nil
	}, atOnce)
	good, bad := numberedTexts("good", 5), numberedTexts("fails", 3)
	p.publishTexts(append(bad, good...)...)
	for range len(good) + len(bad) {
		receiveFrom(p.T, "every message is dealt with in the end", done)
	}
	p.Must(stop())
	wantSame(p.T, "what the handler got", all.texts(), append(append(append(good, bad...), bad...), bad...))
	p.reopen()
	p.sub.wantSilence("the handler dealt with everything in the end")
}

func handlerSettles(p *pipe) {
	var all tally
	stop := p.sub.handleInBackground(func(ctx context.Context, d *pubsub.Delivery) error {
		switch n := all.count(d.Body); {
		case string(d.Body) == "acknowledged":
			return errors.Join(d.Ack(ctx), errPoison)
		case n == 1:
			return d.Nack(ctx, 0)
		}
		return nil
	}, atOnce)
	p.publishTexts("acknowledged", "given back")
	all.waitUntil(p.T, 3)
	p.Must(stop())
	p.reopen()
	p.sub.wantSilence("the handler settled everything")
	wantSame(p.T, "what the handler got", all.texts(), []string{"acknowledged", "given back", "given back"})
}

func handleConcurrency(p *pipe) {
	const limit = 5
	var running, most atomic.Int32
	var all tally
	full := make(chan struct{})
	fill := sync.OnceFunc(func() { close(full) })
	stop := p.sub.handleInBackground(func(_ context.Context, d *pubsub.Delivery) error {
		n := running.Add(1)
		defer running.Add(-1)
		for m := most.Load(); n > m && !most.CompareAndSwap(m, n); m = most.Load() {
		}
		if n == limit {
			fill()
		}
		select {
		case <-full:
		case <-time.After(p.Patience()):
			p.Errorf("%d handlers run at once, want %d", running.Load(), limit)
			fill()
		}
		time.Sleep(time.Millisecond)
		all.count(d.Body)
		return nil
	}, pubsub.Concurrency(limit))
	want := numberedTexts("m", 40)
	p.publishTexts(want...)
	all.waitUntil(p.T, len(want))
	p.Must(stop())
	if most.Load() > limit {
		p.Errorf("%d handlers ran at once, the limit is %d", most.Load(), limit)
	}
	wantSame(p.T, "what the handlers got", all.texts(), want)
}

func handleWaits(p *pipe) {
	began, ended := make(chan struct{}), make(chan struct{})
	stop := p.sub.handleInBackground(func(ctx context.Context, _ *pubsub.Delivery) error {
		close(began)
		<-ctx.Done()
		time.Sleep(100 * time.Millisecond)
		close(ended)
		return nil
	})
	p.publishTexts("m")
	receiveFrom(p.T, "the handler gets the message", began)
	p.Must(stop())
	select {
	case <-ended:
	default:
		p.Errorf("Handle returned while a handler ran")
	}
	p.reopen()
	p.sub.wantSilence("the handler dealt with the message after the end of Handle's context")
}

func handleGivesBack(p *pipe) {
	want := numberedTexts("m", 12)
	p.publishTexts(want...)
	began, release := make(chan string, 20), make(chan struct{})
	stop := p.sub.handleInBackground(func(_ context.Context, d *pubsub.Delivery) error {
		began <- string(d.Body)
		<-release
		return nil
	}, pubsub.Prefetch(8))
	first := receiveFrom(p.T, "the handler gets a message", began)
	other := p.join()
	stopped := make(chan error, 1)
	go func() { stopped <- stop() }()
	time.Sleep(50 * time.Millisecond) // so that its context has ended
	close(release)
	p.Must(receiveFrom(p.T, "Handle returns", stopped))
	close(began)
	dealt := []string{first}
	for body := range began {
		dealt = append(dealt, body)
	}
	left := other.receiveAndAck(len(want) - len(dealt))
	wantSame(p.T, "the messages of the handler and of the other consumer", append(dealt, bodies(left)...), want)
	other.wantSilence("every message was dealt with once")
}

func handleClose(p *pipe) {
	p.publishTexts("m")
	began, release, ended := make(chan struct{}), make(chan struct{}), make(chan error, 1)
	go func() {
		ended <- p.sub.Handle(p.Context(), func(context.Context, *pubsub.Delivery) error {
			close(began)
			<-release
			return nil
		})
	}()
	free := sync.OnceFunc(func() { close(release) })
	defer free()
	receiveFrom(p.T, "the handler gets the message", began)
	p.sub.close()
	p.join().wantTexts("what the handler held when its subscription was closed", "m")
	free()
	p.WantCode("Handle on a subscription that was closed", receiveFrom(p.T, "Handle returns", ended), fairlead.Closed)
}

func traceContext(p *pipe) {
	span := trace.NewSpanContext(trace.SpanContextConfig{
		TraceID: trace.TraceID{1, 2, 3, 15: 9}, SpanID: trace.SpanID{4, 5, 7: 6}, TraceFlags: trace.FlagsSampled,
	})
	type seen struct {
		span     trace.SpanContext
		metadata map[string]string
	}
	handled := make(chan seen, 10)
	stop := p.sub.handleInBackground(func(ctx context.Context, d *pubsub.Delivery) error {
		handled <- seen{trace.SpanContextFromContext(ctx), d.Metadata}
		return nil
	})
	m := withMetadata("own", "value", "Tracestate", "is another name")
	_, err := p.pub.Publish(trace.ContextWithSpanContext(p.Context(), span), m)
	p.Must(err)
	got := receiveFrom(p.T, "the handler gets the message", handled)
	if got.span.TraceID() != span.TraceID() || !got.span.IsSampled() {
		p.Errorf("published in the trace %v, handled in %v (%v)", span.TraceID(), got.span.TraceID(), got.metadata)
	}
	if own := untraced(got.metadata); fmt.Sprint(own) != fmt.Sprint(m.Metadata) {
		p.Errorf("the metadata besides the trace context is %q, want %q", own, m.Metadata)
	}
	p.Must(stop())
}
