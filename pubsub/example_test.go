package pubsub_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"fairlead.dev"
	"fairlead.dev/pubsub"
)

// must ends an example that fails.
func must(err error) {
	if err != nil {
		panic(err)
	}
}

// mustOpen opens a provider with a topic.
func mustOpen(ctx context.Context, topic string) (fairlead.Provider, *pubsub.Topic) {
	p, err := fairlead.Open(ctx, "mem://")
	must(err)
	t, err := pubsub.Open(ctx, p, topic)
	must(err)
	return p, t
}

func mustSubscribe(ctx context.Context, p fairlead.Provider, topic string, opts ...pubsub.SubscribeOption) *pubsub.Subscription {
	s, err := pubsub.Subscribe(ctx, p, topic, opts...)
	must(err)
	return s
}

func mustPublish(ctx context.Context, t *pubsub.Topic, msgs ...pubsub.Message) []pubsub.PublishResult {
	results, err := t.PublishMany(ctx, msgs...)
	must(err)
	return results
}

// mustReceive receives a message and acknowledges it.
func mustReceive(ctx context.Context, s *pubsub.Subscription) *pubsub.Delivery {
	d, err := s.Receive(ctx)
	must(err)
	must(d.Ack(ctx))
	return d
}

func Example() {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	p, err := fairlead.Open(ctx, "mem://")
	if err != nil {
		panic(err)
	}
	defer p.Close(ctx)
	billing, err := pubsub.Subscribe(ctx, p, "orders", pubsub.Group("billing"))
	if err != nil {
		panic(err)
	}
	orders, err := pubsub.Open(ctx, p, "orders")
	if err != nil {
		panic(err)
	}
	if _, err := orders.Publish(ctx, pubsub.Message{Body: []byte("two coffees")}); err != nil {
		panic(err)
	}
	err = billing.Handle(ctx, func(_ context.Context, d *pubsub.Delivery) error {
		fmt.Printf("%s\n", d.Body)
		cancel()
		return nil
	})
	fmt.Println(err)
	// Output:
	// two coffees
	// <nil>
}

func ExampleTopic_Publish() {
	ctx := context.Background()
	p, orders := mustOpen(ctx, "orders")
	defer p.Close(ctx)
	billing := mustSubscribe(ctx, p, "orders", pubsub.Group("billing"))

	receipt, err := orders.Publish(ctx, pubsub.Message{
		ID:       "order-1",
		Body:     []byte("two coffees"),
		Metadata: map[string]string{"currency": "EUR"},
	})
	must(err)
	d := mustReceive(ctx, billing)
	fmt.Printf("%s, %s in %s\n", d.ID, d.Body, d.Metadata["currency"])
	fmt.Println(d.Position == receipt.Position)
	// Output:
	// order-1, two coffees in EUR
	// true
}

func ExampleTopic_PublishMany() {
	ctx := context.Background()
	p, orders := mustOpen(ctx, "orders")
	defer p.Close(ctx)

	results, err := orders.PublishMany(ctx,
		pubsub.Message{ID: "order-1"},
		pubsub.Message{ID: "order-\xff"}, // is not UTF-8
		pubsub.Message{ID: "order-3"},
	)
	fmt.Println(err != nil)
	for i, r := range results {
		if r.Err != nil {
			fmt.Println(i, fairlead.CodeOf(r.Err))
			continue
		}
		fmt.Println(i, r.Receipt.ID)
	}
	// Output:
	// true
	// 0 order-1
	// 1 invalid
	// 2 order-3
}

func ExampleTopic_PublishAtomic() {
	ctx := context.Background()
	p, err := fairlead.Open(ctx, "mem://")
	must(err)
	defer p.Close(ctx)
	transfers, err := pubsub.Open(ctx, p, "transfers", pubsub.Require(pubsub.AtomicBatch))
	must(err)

	_, err = transfers.PublishAtomic(ctx,
		pubsub.Message{ID: "debit"},
		pubsub.Message{ID: "credit-\xff"}, // is not UTF-8
	)
	fmt.Println(errors.Is(err, fairlead.Invalid), "nothing is stored")
	receipts, err := transfers.PublishAtomic(ctx, pubsub.Message{ID: "debit"}, pubsub.Message{ID: "credit"})
	must(err)
	fmt.Println(receipts[0].ID, receipts[1].ID)
	// Output:
	// true nothing is stored
	// debit credit
}

func ExampleSubscription_Handle() {
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	p, orders := mustOpen(ctx, "orders")
	defer p.Close(ctx)
	billing := mustSubscribe(ctx, p, "orders", pubsub.Group("billing"))
	mustPublish(ctx, orders, pubsub.Message{Body: []byte("two coffees")})

	err := billing.Handle(ctx, func(_ context.Context, d *pubsub.Delivery) error {
		if d.Attempt == 1 {
			fmt.Println("first attempt: fails, so that the message is delivered again")
			return errors.New("the printer is out of paper")
		}
		fmt.Printf("attempt %d: %s\n", d.Attempt, d.Body)
		stop()
		return nil // acknowledges the message
	}, pubsub.RetryDelay(func(int) time.Duration { return time.Millisecond }))
	fmt.Println(err)
	// Output:
	// first attempt: fails, so that the message is delivered again
	// attempt 2: two coffees
	// <nil>
}

// The consumers of a group share its messages; every group gets all of them.
func ExampleGroup() {
	ctx := context.Background()
	p, orders := mustOpen(ctx, "orders")
	defer p.Close(ctx)
	billing := mustSubscribe(ctx, p, "orders", pubsub.Group("billing"))
	alsoBilling := mustSubscribe(ctx, p, "orders", pubsub.Group("billing"))
	shipping := mustSubscribe(ctx, p, "orders", pubsub.Group("shipping"))
	mustPublish(ctx, orders, pubsub.Message{Body: []byte("one")}, pubsub.Message{Body: []byte("two")})

	fmt.Printf("billing: %s\n", mustReceive(ctx, billing).Body)
	fmt.Printf("billing: %s\n", mustReceive(ctx, alsoBilling).Body)
	fmt.Printf("shipping: %s\n", mustReceive(ctx, shipping).Body)
	fmt.Printf("shipping: %s\n", mustReceive(ctx, shipping).Body)
	// Output:
	// billing: one
	// billing: two
	// shipping: one
	// shipping: two
}

// The messages of one key are delivered one at a time and in order, even if
// one of them is delivered again. Messages of other keys are not held up.
func ExampleMessage_orderingKey() {
	ctx := context.Background()
	p, accounts := mustOpen(ctx, "accounts")
	defer p.Close(ctx)
	ledger := mustSubscribe(ctx, p, "accounts", pubsub.Group("ledger"), pubsub.Require(pubsub.OrderedByKey))
	mustPublish(ctx, accounts,
		pubsub.Message{Key: "ann", Body: []byte("open")},
		pubsub.Message{Key: "ann", Body: []byte("deposit")},
		pubsub.Message{Key: "bob", Body: []byte("open")},
	)

	ann, err := ledger.Receive(ctx)
	must(err)
	fmt.Printf("%s: %s\n", ann.Key, ann.Body)
	bob := mustReceive(ctx, ledger) // ann's deposit waits for ann's open
	fmt.Printf("%s: %s\n", bob.Key, bob.Body)
	must(ann.Nack(ctx, 0))
	for range 2 {
		d := mustReceive(ctx, ledger)
		fmt.Printf("%s: %s\n", d.Key, d.Body)
	}
	// Output:
	// ann: open
	// bob: open
	// ann: open
	// ann: deposit
}

// A new group usually starts with the messages that are published from then
// on. FromStart lets it start with the oldest message that is kept.
func ExampleFromStart() {
	ctx := context.Background()
	p, orders := mustOpen(ctx, "orders")
	defer p.Close(ctx)
	mustPublish(ctx, orders, pubsub.Message{Body: []byte("one")}, pubsub.Message{Body: []byte("two")})

	audit := mustSubscribe(ctx, p, "orders", pubsub.Group("audit"), pubsub.FromStart())
	fmt.Printf("%s\n", mustReceive(ctx, audit).Body)
	fmt.Printf("%s\n", mustReceive(ctx, audit).Body)
	// Output:
	// one
	// two
}

func ExampleFromPosition() {
	ctx := context.Background()
	p, orders := mustOpen(ctx, "orders")
	defer p.Close(ctx)
	results := mustPublish(ctx, orders, pubsub.Message{Body: []byte("one")}, pubsub.Message{Body: []byte("two")})

	audit := mustSubscribe(ctx, p, "orders", pubsub.Group("audit"), pubsub.FromPosition(results[0].Receipt.Position))
	fmt.Printf("%s\n", mustReceive(ctx, audit).Body)
	// Output: two
}

// A broadcast subscription gets every message, whichever subscriptions also get it.
func ExampleWithoutGroup() {
	ctx := context.Background()
	p, news := mustOpen(ctx, "news")
	defer p.Close(ctx)
	one := mustSubscribe(ctx, p, "news", pubsub.WithoutGroup(), pubsub.Require(pubsub.Broadcast))
	two := mustSubscribe(ctx, p, "news", pubsub.WithoutGroup(), pubsub.Require(pubsub.Broadcast))
	mustPublish(ctx, news, pubsub.Message{Body: []byte("cache is stale")})

	fmt.Printf("%s\n", mustReceive(ctx, one).Body)
	fmt.Printf("%s\n", mustReceive(ctx, two).Body)
	// Output:
	// cache is stale
	// cache is stale
}

// A message that is not acknowledged in three attempts is moved to another topic.
func ExampleDeadLetter() {
	ctx := context.Background()
	p, orders := mustOpen(ctx, "orders")
	defer p.Close(ctx)
	unpaid := mustSubscribe(ctx, p, "orders.dead", pubsub.Group("operators"))
	billing := mustSubscribe(ctx, p, "orders", pubsub.Group("billing"), pubsub.DeadLetter("orders.dead", 3))
	mustPublish(ctx, orders, pubsub.Message{ID: "order-1", Body: []byte("two coffees")})

	for range 3 {
		d, err := billing.Receive(ctx)
		must(err)
		must(d.Nack(ctx, 0))
	}
	dead := mustReceive(ctx, unpaid)
	fmt.Printf("%s\n", dead.Body)
	for _, name := range []string{"topic", "id", "attempts", "reason"} {
		fmt.Println(name, "=", dead.Metadata["dead-letter-"+name])
	}
	// Output:
	// two coffees
	// topic = orders
	// id = order-1
	// attempts = 3
	// reason = given back
}

func ExampleDelivery_Nack() {
	ctx := context.Background()
	p, orders := mustOpen(ctx, "orders")
	defer p.Close(ctx)
	billing := mustSubscribe(ctx, p, "orders", pubsub.Group("billing"), pubsub.Require(pubsub.NackDelay))
	mustPublish(ctx, orders, pubsub.Message{Body: []byte("two coffees")})

	d, err := billing.Receive(ctx)
	must(err)
	must(d.Nack(ctx, 50*time.Millisecond)) // delivers the message again after 50 ms
	again, err := billing.Receive(ctx)
	must(err)
	fmt.Printf("%s, attempt %d\n", again.Body, again.Attempt)
	must(again.Ack(ctx))
	fmt.Println(errors.Is(again.Ack(ctx), pubsub.ErrLeaseLost))
	// Output:
	// two coffees, attempt 2
	// true
}
