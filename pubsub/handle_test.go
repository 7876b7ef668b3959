package pubsub_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
	"unicode/utf8"

	"fairlead.dev"
	"fairlead.dev/pubsub"
	"fairlead.dev/pubsub/driver"
)

// TestHandleGoesOn lets every condition that passes fail a receive: Handle reports
// it, and goes on.
func TestHandleGoesOn(t *testing.T) {
	passing := []fairlead.Code{fairlead.Unavailable, fairlead.Internal, fairlead.TooLarge, fairlead.Conflict,
		fairlead.UnknownOutcome, fairlead.Closed, fairlead.Canceled, fairlead.DeadlineExceeded}
	synctest.Test(t, func(t *testing.T) {
		p := openFake(t)
		left := passing
		p.receive = func(ctx context.Context, limit int, next receiveFunc) ([]driver.Delivery, error) {
			if len(left) == 0 {
				return next(ctx, limit)
			}
			code := left[0]
			left = left[1:]
			return nil, fairlead.Errorf(code, "of one connection")
		}
		sub := subscribe(t, p, "t")
		publish(t, p, pubsub.Message{})
		ctx, cancel := within(t, time.Hour)
		var reported []error
		err := sub.Handle(ctx, func(context.Context, *pubsub.Delivery) error {
			cancel()
			return nil
		}, pubsub.OnError(func(err error) { reported = append(reported, err) }))
		if err != nil || len(left) > 0 || len(reported) != len(passing) {
			t.Errorf("Handle returned %v, %d conditions are left, reported: %v", err, len(left), reported)
		}
	})
}

func TestHandleEnds(t *testing.T) {
	for _, code := range []fairlead.Code{fairlead.NotFound, fairlead.Invalid, fairlead.Unsupported, fairlead.PermissionDenied, fairlead.Compacted} {
		p := openFake(t)
		p.receive = func(context.Context, int, receiveFunc) ([]driver.Delivery, error) {
			return nil, fairlead.Errorf(code, "for good")
		}
		sub := subscribe(t, p, "t")
		ctx, cancel := within(t, time.Minute)
		if err := sub.Handle(ctx, func(context.Context, *pubsub.Delivery) error { return nil }); !errors.Is(err, code) {
			t.Errorf("after %v: got %v", code, err)
		}
		cancel()
	}
	p := openFake(t)
	sub := subscribe(t, p, "t")
	time.AfterFunc(10*time.Millisecond, func() { p.Provider.Close(context.Background()) })
	ctx, cancel := within(t, time.Minute)
	defer cancel()
	if err := sub.Handle(ctx, func(context.Context, *pubsub.Delivery) error { return nil }); !errors.Is(err, fairlead.Closed) {
		t.Errorf("after the provider was closed: got %v", err)
	}
}

// TestHandlePauses counts the calls of a driver that fails at once.
func TestHandlePauses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := openFake(t)
		ctx, cancel := within(t, 10*time.Minute)
		defer cancel()
		p.receive = func(context.Context, int, receiveFunc) ([]driver.Delivery, error) {
			if p.receives.Load() > 2000 {
				cancel() // without a pause, the 10 minutes never pass
			}
			return nil, fairlead.Errorf(fairlead.Internal, "no")
		}
		sub := subscribe(t, p, "t")
		if err := sub.Handle(ctx, func(context.Context, *pubsub.Delivery) error { return nil }); err != nil {
			t.Error(err)
		}
		if n := p.receives.Load(); n > 620 {
			t.Errorf("%d calls in 10 minutes", n)
		}
	})
}

// TestReceiveError: a Receive whose context has ended says so, whatever the driver
// says; nothing else is called an ended context.
func TestReceiveError(t *testing.T) {
	p := openFake(t)
	sub := subscribe(t, p, "t")
	for _, code := range []fairlead.Code{fairlead.Unavailable, fairlead.Canceled, fairlead.DeadlineExceeded} {
		p.receive = func(ctx context.Context, _ int, _ receiveFunc) ([]driver.Delivery, error) {
			if _, ok := ctx.Deadline(); ok {
				<-ctx.Done()
			}
			return nil, fairlead.Errorf(code, "of the driver")
		}
		ctx, cancel := within(t, time.Millisecond)
		if _, err := sub.Receive(ctx); !errors.Is(err, fairlead.DeadlineExceeded) {
			t.Errorf("the driver says %v at the deadline: got %v", code, err)
		}
		cancel()
		if _, err := sub.Receive(t.Context()); !errors.Is(err, fairlead.Unavailable) {
			t.Errorf("the driver says %v by itself: got %v", code, err)
		}
	}
}

// TestLargestMessageIsBuried moves a message of the largest size to the dead
// letters, with a reason that is long and no text.
func TestLargestMessageIsBuried(t *testing.T) {
	p := openFake(t)
	p.maxMessage = 5000
	topicName := strings.Repeat("t", 128)
	p.send = func(ctx context.Context, topic string, msgs []driver.Message, next sendFunc) []driver.SendResult {
		results := next(ctx, msgs)
		for _, m := range msgs {
			if m.Size() > p.maxMessage+driver.DeadLetterRoom {
				t.Errorf("a message of %d bytes was sent to %s", m.Size(), topic)
			}
		}
		return results
	}
	sub, dead := subscribe(t, p, topicName, pubsub.DeadLetter("dead", 1)), subscribe(t, p, "dead")
	topic := openTopic(t, p, topicName)
	id := strings.Repeat("i", 2000)
	if _, err := topic.Publish(t.Context(), pubsub.Message{ID: id, Body: make([]byte, 3000)}); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := within(t, time.Minute)
	defer cancel()
	handled := make(chan error, 1)
	go func() {
		handled <- sub.Handle(ctx, func(context.Context, *pubsub.Delivery) error {
			return errors.New("\xff." + strings.Repeat("ü", 100_000)) // the cut is within a character
		}, pubsub.OnError(func(err error) { t.Error(err) }))
	}()
	d, err := dead.Receive(ctx)
	if err != nil {
		t.Fatal(err)
	}
	reason := d.Metadata["dead-letter-reason"]
	if len(d.Body) != 3000 || d.Metadata["dead-letter-id"] != id || len(reason) > 1000 || len(reason) < 900 || !utf8.ValidString(reason) {
		t.Errorf("got a body of %d bytes and %q", len(d.Body), d.Metadata)
	}
	cancel()
	if err := <-handled; err != nil {
		t.Error(err)
	}
}

// TestUnmovableMessageBlocksNothing lets a message fail to be stored with the dead
// letters: it is reported, and the messages after it are handled.
func TestUnmovableMessageBlocksNothing(t *testing.T) {
	for _, code := range []fairlead.Code{fairlead.TooLarge, fairlead.Invalid, fairlead.PermissionDenied, fairlead.Unavailable} {
		synctest.Test(t, func(t *testing.T) {
			p := openFake(t)
			p.send = func(ctx context.Context, topic string, msgs []driver.Message, next sendFunc) []driver.SendResult {
				if topic == "dead" {
					return []driver.SendResult{{Err: fairlead.Errorf(code, "not this one")}}
				}
				return next(ctx, msgs)
			}
			sub := subscribe(t, p, "t", pubsub.DeadLetter("dead", 1))
			publish(t, p, pubsub.Message{ID: "bad"})
			ctx, cancel := within(t, 10*time.Minute)
			defer cancel()
			var good atomic.Int64
			var reported atomic.Int64
			time.AfterFunc(5*time.Minute, func() { publish(t, p, pubsub.Message{ID: "good"}) })
			err := sub.Handle(ctx, func(_ context.Context, d *pubsub.Delivery) error {
				if d.ID == "bad" {
					return errors.New("no")
				}
				good.Add(1)
				return nil
			}, pubsub.OnError(func(error) {
				if reported.Add(1) > 1000 {
					cancel() // without a delay, the 10 minutes never pass
				}
			}))
			if n := reported.Load(); err != nil || good.Load() != 1 || n < 10 || n > 50 {
				t.Errorf("%v: Handle returned %v, %d good messages, %d reports", code, err, good.Load(), n)
			}
		})
	}
}

// TestHandlerEndsWithItsLease: a lease that cannot be extended cancels the handler
// before it ends at the backend.
func TestHandlerEndsWithItsLease(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := openFake(t)
		p.settle = func(ctx context.Context, s []driver.Settlement, next settleFunc) []error {
			if s[0].Kind != driver.Extend {
				return next(ctx, s)
			}
			return []error{fairlead.Errorf(fairlead.Unavailable, "the server is full")}
		}
		sub := subscribe(t, p, "t", pubsub.AckDeadline(30*time.Second))
		publish(t, p, pubsub.Message{})
		ctx, cancel := within(t, time.Hour)
		defer cancel()
		began := time.Now()
		err := sub.Handle(ctx, func(ctx context.Context, _ *pubsub.Delivery) error {
			<-ctx.Done()
			if took := time.Since(began); took < 20*time.Second || took >= 30*time.Second {
				t.Errorf("the handler was canceled after %v", took)
			}
			if cause := context.Cause(ctx); cause == nil || !strings.Contains(cause.Error(), "the server is full") {
				t.Errorf("the cause is %v", cause)
			}
			cancel()
			return nil
		})
		if err != nil {
			t.Error(err)
		}
	})
}

// TestLostMessageIsNotBegun: a message whose lease was lost while it waited for a
// handler does not reach one.
func TestLostMessageIsNotBegun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := openFake(t)
		var mu sync.Mutex
		tokens := map[string]string{}
		p.receive = func(ctx context.Context, limit int, next receiveFunc) ([]driver.Delivery, error) {
			ds, err := next(ctx, limit)
			mu.Lock()
			defer mu.Unlock()
			for _, d := range ds {
				tokens[d.Token] = d.ID
			}
			return ds, err
		}
		p.settle = func(ctx context.Context, s []driver.Settlement, next settleFunc) []error {
			mu.Lock()
			defer mu.Unlock()
			errs := next(ctx, s)
			for i, st := range s {
				if st.Kind == driver.Extend && tokens[st.Token] == "waits" {
					errs[i] = fairlead.Errorf(fairlead.Conflict, "the lease was lost")
				}
			}
			return errs
		}
		sub := subscribe(t, p, "t", pubsub.AckDeadline(time.Minute))
		publish(t, p, pubsub.Message{ID: "runs"}, pubsub.Message{ID: "waits"})
		ctx, cancel := within(t, 70*time.Second)
		defer cancel()
		var handled []string
		reported := 0
		err := sub.Handle(ctx, func(ctx context.Context, d *pubsub.Delivery) error {
			handled = append(handled, d.ID)
			time.Sleep(50 * time.Second)
			return nil
		}, pubsub.Prefetch(1), pubsub.OnError(func(error) { reported++ }))
		if err != nil || strings.Join(handled, " ") != "runs" || reported != 1 {
			t.Errorf("Handle returned %v, handled %v, %d reports", err, handled, reported)
		}
	})
}

// TestUnbegunMessagesDoNotCount: restarts of a consumer that only fetches messages
// do not use up their attempts.
func TestUnbegunMessagesDoNotCount(t *testing.T) {
	p := openFake(t)
	for range 5 {
		sub := subscribe(t, p, "t")
		publish(t, p, pubsub.Message{})
		ctx, cancel := within(t, time.Minute)
		received := make(chan struct{}, 1)
		p.receive = func(ctx context.Context, limit int, next receiveFunc) ([]driver.Delivery, error) {
			ds, err := next(ctx, limit)
			if len(ds) > 0 {
				cancel() // before a handler begins
				received <- struct{}{}
			}
			return ds, err
		}
		if err := sub.Handle(ctx, func(context.Context, *pubsub.Delivery) error { t.Error("a handler began"); return nil }); err != nil {
			t.Error(err)
		}
		<-received
		p.receive = nil
		if err := sub.Close(t.Context()); err != nil {
			t.Error(err)
		}
	}
	sub := subscribe(t, p, "t")
	d, err := sub.Receive(t.Context())
	if err != nil || d.Attempt != 1 {
		t.Errorf("got %+v, %v, want attempt 1", d, err)
	}
}

func TestHandleOptions(t *testing.T) {
	sub := subscribe(t, openMemory(t), "t")
	fn := func(context.Context, *pubsub.Delivery) error { return nil }
	const largest = int(^uint(0) >> 1)
	for what, opt := range map[string]pubsub.HandleOption{
		"nil": nil, "Concurrency 0": pubsub.Concurrency(0), "Concurrency -1": pubsub.Concurrency(-1), "Concurrency MaxInt": pubsub.Concurrency(largest),
		"Prefetch -1": pubsub.Prefetch(-1), "Prefetch MaxInt": pubsub.Prefetch(largest), "RetryDelay nil": pubsub.RetryDelay(nil), "OnError nil": pubsub.OnError(nil),
	} {
		if err := sub.Handle(t.Context(), fn, opt); !errors.Is(err, fairlead.Invalid) {
			t.Errorf("%s: got %v, want Invalid", what, err)
		}
	}
	if err := sub.Handle(t.Context(), nil); !errors.Is(err, fairlead.Invalid) {
		t.Errorf("without a handler: got %v, want Invalid", err)
	}
}
