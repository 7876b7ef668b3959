package pubsub_test

import (
	"context"
	"runtime"
	"testing"
	"time"

	"fairlead.dev"
	"fairlead.dev/internal/dev/check"
	"fairlead.dev/pubsub"
)

// fragile is an error whose text cannot be read.
type fragile struct{ text string }

func (f *fragile) Error() string { return f.text }

// TestHandlersThatDoNotReturn: whatever a handler does, its worker goes on, and the
// message comes again.
func TestHandlersThatDoNotReturn(t *testing.T) {
	for name, fail := range map[string]func() error{
		"ends its goroutine":        func() error { runtime.Goexit(); return nil },
		"panics":                    func() error { panic("x") },
		"returns a broken error":    func() error { var f *fragile; return f },
		"calls a broken RetryDelay": func() error { return context.Canceled },
	} {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
			defer cancel()
			p, err := fairlead.Open(ctx, "mem://")
			check.NoError(t, err)
			defer p.Close(context.Background())
			s, err := pubsub.Subscribe(ctx, p, "t", pubsub.Group("g"))
			check.NoError(t, err)
			topic, err := pubsub.Open(ctx, p, "t")
			check.NoError(t, err)
			_, err = topic.Publish(ctx, pubsub.Message{Body: []byte("m")})
			check.NoError(t, err)
			done := false
			check.NoError(t, s.Handle(ctx, func(_ context.Context, d *pubsub.Delivery) error {
				if d.Attempt == 1 {
					return fail()
				}
				done = true
				cancel()
				return nil
			}, pubsub.Concurrency(1), pubsub.RetryDelay(func(int) time.Duration {
				if name == "calls a broken RetryDelay" {
					panic("x")
				}
				return 0
			})))
			if !done {
				t.Error("the message did not come again")
			}
		})
	}
}

// TestNackAfterAck: a message that was acknowledged does not become a dead letter,
// nor does one that is given back with a bad delay.
func TestNackAfterAck(t *testing.T) {
	ctx := t.Context()
	p, err := fairlead.Open(ctx, "mem://")
	check.NoError(t, err)
	defer p.Close(context.Background())
	s, err := pubsub.Subscribe(ctx, p, "t", pubsub.Group("g"), pubsub.DeadLetter("dead", 1))
	check.NoError(t, err)
	dead, err := pubsub.Subscribe(ctx, p, "dead", pubsub.Group("g"))
	check.NoError(t, err)
	topic, err := pubsub.Open(ctx, p, "t")
	check.NoError(t, err)
	_, err = topic.Publish(ctx, pubsub.Message{Body: []byte("m")})
	check.NoError(t, err)
	d, err := s.Receive(ctx)
	check.NoError(t, err)
	check.Code(t, d.Nack(ctx, -1), fairlead.Invalid)
	check.NoError(t, d.Ack(ctx))
	check.Code(t, d.Nack(ctx, 0), fairlead.Conflict)
	short, cancel := context.WithTimeout(ctx, 50*time.Millisecond)
	defer cancel()
	if d, err := dead.Receive(short); err == nil {
		t.Errorf("the dead letter %q", d.Body)
	}
}
