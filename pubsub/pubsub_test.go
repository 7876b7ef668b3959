package pubsub_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"fairlead.dev"
	_ "fairlead.dev/providers/memory"
	"fairlead.dev/pubsub"
)

func openMemory(t *testing.T) fairlead.Provider {
	t.Helper()
	p, err := fairlead.Open(context.Background(), "mem://")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Close(context.Background()) })
	return p
}

// TestHandleRetriesAndBuries lets a handler fail in every way: the message
// comes again, and ends with the dead letters.
func TestHandleRetriesAndBuries(t *testing.T) {
	p := openMemory(t)
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	sub, err := pubsub.Subscribe(ctx, p, "t", pubsub.Group("g"), pubsub.DeadLetter("dead", 3))
	if err != nil {
		t.Fatal(err)
	}
	dead, err := pubsub.Subscribe(ctx, p, "dead", pubsub.Group("g"))
	if err != nil {
		t.Fatal(err)
	}
	topic, err := pubsub.Open(ctx, p, "t")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := topic.Publish(ctx, pubsub.Message{ID: "m", Body: []byte("b")}); err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	var attempts []int
	handling, stop := context.WithCancel(ctx)
	done := make(chan error, 1)
	go func() {
		done <- sub.Handle(handling, func(_ context.Context, d *pubsub.Delivery) error {
			mu.Lock()
			defer mu.Unlock()
			attempts = append(attempts, d.Attempt)
			if d.Attempt == 2 {
				panic("second")
			}
			return errors.New("no")
		}, pubsub.RetryDelay(func(int) time.Duration { return time.Millisecond }))
	}()
	d, err := dead.Receive(ctx)
	if err != nil {
		t.Fatal(err)
	}
	stop()
	if err := <-done; err != nil {
		t.Error(err)
	}
	if fmt.Sprint(attempts) != "[1 2 3]" || string(d.Body) != "b" || d.Metadata["dead-letter-id"] != "m" || d.Metadata["dead-letter-reason"] != "no" {
		t.Errorf("attempts %v, dead letter %+v", attempts, d)
	}
}

// TestHandleExtends runs a handler for longer than the lease.
func TestHandleExtends(t *testing.T) {
	p := openMemory(t)
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	sub, err := pubsub.Subscribe(ctx, p, "t", pubsub.Group("g"), pubsub.AckDeadline(60*time.Millisecond))
	if err != nil {
		t.Fatal(err)
	}
	topic, err := pubsub.Open(ctx, p, "t")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := topic.Publish(ctx, pubsub.Message{}); err != nil {
		t.Fatal(err)
	}
	n := 0
	handling, stop := context.WithCancel(ctx)
	err = sub.Handle(handling, func(ctx context.Context, d *pubsub.Delivery) error {
		n++
		select {
		case <-time.After(300 * time.Millisecond):
		case <-ctx.Done():
			t.Error("the lease was lost:", context.Cause(ctx))
		}
		stop()
		return nil
	})
	if err != nil || n != 1 {
		t.Errorf("%d deliveries, %v", n, err)
	}
}
