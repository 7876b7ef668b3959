package pubsubcases

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"go.opentelemetry.io/otel/trace"

	"fairlead.dev/conformance/internal/suite"
	"fairlead.dev/pubsub"
)

// pipe is a topic and a consumer of a group that exists before the first
// message. Most cases start with one.
type pipe struct {
	*suite.T
	topic, group string
	pub          *pubsub.Topic
	sub          *consumer
}

func newPipe(t *suite.T, opts ...pubsub.SubscribeOption) *pipe {
	p := &pipe{T: t, topic: t.Name(), group: t.Name()}
	p.sub = p.join(opts...)
	p.pub = t.Topic(p.topic)
	return p
}

// withPipe returns the function of a case that needs a pipe.
func withPipe(run func(p *pipe)) func(*suite.T) { return func(t *suite.T) { run(newPipe(t)) } }

// join returns one more consumer of the pipe's group.
func (p *pipe) join(opts ...pubsub.SubscribeOption) *consumer { return p.joinGroup(p.group, opts...) }

// joinGroup returns a consumer of another group.
func (p *pipe) joinGroup(group string, opts ...pubsub.SubscribeOption) *consumer {
	return p.subscribe(append(opts[:len(opts):len(opts)], pubsub.Group(group))...)
}

// subscribe returns a subscription to the pipe's topic.
func (p *pipe) subscribe(opts ...pubsub.SubscribeOption) *consumer {
	return &consumer{p.Subscribe(p.topic, opts...), p.T}
}

// reopen closes the pipe's consumer and opens another one.
func (p *pipe) reopen() {
	p.Must(p.sub.Close(p.Context()))
	p.sub = p.join()
}

// publish publishes messages.
func (p *pipe) publish(msgs ...pubsub.Message) []pubsub.Receipt {
	results, err := p.pub.PublishMany(p.Context(), msgs...)
	p.Must(err)
	receipts := make([]pubsub.Receipt, len(results))
	for i, r := range results {
		receipts[i] = r.Receipt
	}
	return receipts
}

// publishTexts publishes a message for each of the bodies.
func (p *pipe) publishTexts(bodies ...string) []pubsub.Receipt {
	return p.publish(textMessages(bodies...)...)
}

func textMessages(bodies ...string) []pubsub.Message {
	msgs := make([]pubsub.Message, len(bodies))
	for i, b := range bodies {
		msgs[i].Body = []byte(b)
	}
	return msgs
}

// keyedMessages returns messages with an ordering key, whose bodies are the key and a
// number.
func keyedMessages(key string, n int) []pubsub.Message {
	msgs := textMessages(numberedTexts(key, n)...)
	for i := range msgs {
		msgs[i].Key = key
	}
	return msgs
}

// numberedTexts returns prefix0000, prefix0001 and so on.
func numberedTexts(prefix string, n int) []string {
	out := make([]string, n)
	for i := range out {
		out[i] = fmt.Sprintf("%s%04d", prefix, i)
	}
	return out
}

// consumer is a subscription, with the ways to receive that cases need.
type consumer struct {
	*pubsub.Subscription
	t *suite.T
}

// receiveUpTo receives n messages, and returns fewer if one does not come in time.
func (c *consumer) receiveUpTo(n int) ([]*pubsub.Delivery, error) {
	var ds []*pubsub.Delivery
	for len(ds) < n {
		more, err := c.receiveBatch(n - len(ds))
		if err != nil {
			return ds, err
		}
		ds = append(ds, more...)
	}
	return ds, nil
}

// receive receives n messages and does not settle them. n must be small, because a
// backend may bound the number of messages in flight.
func (c *consumer) receive(n int) []*pubsub.Delivery {
	ds, err := c.receiveUpTo(n)
	if len(ds) != n {
		c.t.Fatalf("%d of %d messages came: %s; then: %v", len(ds), n, excerpt(bodies(ds)), err)
	}
	return ds
}

// receiveAndAck receives n messages and acknowledges them.
func (c *consumer) receiveAndAck(n int) []*pubsub.Delivery {
	var ds []*pubsub.Delivery
	for len(ds) < n {
		more, err := c.receiveBatch(min(n-len(ds), 50))
		if err != nil {
			c.t.Fatalf("%d of %d messages came: %s; then: %v", len(ds), n, excerpt(bodies(ds)), err)
		}
		c.ackAll(more...)
		ds = append(ds, more...)
	}
	return ds
}

// receiveBatch waits for a message, and receives all that are available then.
func (c *consumer) receiveBatch(limit int) ([]*pubsub.Delivery, error) {
	ctx, cancel := context.WithTimeout(c.t.Context(), c.t.Patience())
	defer cancel()
	return c.ReceiveMany(ctx, limit)
}

// ackAll acknowledges all at once.
func (c *consumer) ackAll(ds ...*pubsub.Delivery) {
	suite.RunConcurrently(len(ds), func(i int) {
		if err := ds[i].Ack(c.t.Context()); err != nil {
			c.t.Errorf("acknowledging %s: %v", excerpt(bodies(ds[i:i+1])), err)
		}
	})
}

// giveBack returns a delivery to its group.
func (c *consumer) giveBack(d *pubsub.Delivery, delay time.Duration) {
	c.t.Must(d.Nack(c.t.Context(), delay))
}

// wantTexts receives, acknowledges and compares, without regard to order.
func (c *consumer) wantTexts(what string, want ...string) {
	wantSame(c.t, what, bodies(c.receiveAndAck(len(want))), want)
}

// silence is how long to wait for a message that must not come. A short wait can
// only miss a fault, never report a false one.
const silence = 150 * time.Millisecond

// wantSilence fails if a message comes.
func (c *consumer) wantSilence(what string) {
	ctx, cancel := context.WithTimeout(c.t.Context(), silence)
	defer cancel()
	d, err := c.Receive(ctx)
	switch {
	case err == nil:
		c.t.Errorf("%s, but a message came: %s", what, excerpt([]string{string(d.Body)}))
	case !errors.Is(err, context.DeadlineExceeded):
		c.t.Errorf("%s: a Receive without a message should end with deadline exceeded, got %v", what, err)
	}
}

// close closes the subscription.
func (c *consumer) close() { c.t.Must(c.Close(c.t.Context())) }

// received is the result of a Receive in the background.
type received struct {
	d    *pubsub.Delivery
	err  error
	took time.Duration
}

// receiveInBackground receives in the background, and returns when that call most
// likely waits.
func (c *consumer) receiveInBackground(ctx context.Context) <-chan received {
	answer := make(chan received, 1)
	go func() {
		began := time.Now()
		d, err := c.Receive(ctx)
		answer <- received{d, err, time.Since(began)}
	}()
	time.Sleep(40 * time.Millisecond)
	return answer
}

// receiveFrom returns the next value of a channel, and ends the case if none comes.
func receiveFrom[V any](t *suite.T, what string, from <-chan V) V {
	select {
	case v := <-from:
		return v
	case <-time.After(t.Patience()):
		t.Fatalf("not within %v: %s", t.Patience(), what)
	}
	panic("unreachable")
}

// handleInBackground runs Handle in the background. The function that it returns ends it
// and returns what Handle returned.
func (c *consumer) handleInBackground(fn pubsub.Handler, opts ...pubsub.HandleOption) (stop func() error) {
	ctx, cancel := context.WithCancel(trace.ContextWithSpanContext(c.t.Context(), trace.SpanContext{}))
	c.t.Cleanup(func(context.Context) error { cancel(); return nil })
	ended := make(chan error, 1)
	go func() { ended <- c.Handle(ctx, fn, opts...) }()
	return sync.OnceValue(func() error {
		cancel()
		return receiveFrom(c.t, "Handle returns when its context has ended", ended)
	})
}

// atOnce makes Handle deliver a message again without delay after its handler
// failed.
var atOnce = pubsub.RetryDelay(func(int) time.Duration { return 0 })

// tally counts bodies, from any goroutine, in the order in which they came.
type tally struct {
	mu    sync.Mutex
	all   []string
	times map[string]int
}

// count counts a body and returns how often it came, this time included.
func (c *tally) count(body []byte) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.times == nil {
		c.times = map[string]int{}
	}
	c.all = append(c.all, string(body))
	c.times[string(body)]++
	return c.times[string(body)]
}

func (c *tally) total() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.all)
}

func (c *tally) texts() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.all)
}

// waitUntil waits until n bodies were counted.
func (c *tally) waitUntil(t *suite.T, n int) {
	for got, since := 0, time.Now(); got < n; time.Sleep(2 * time.Millisecond) {
		switch now := c.total(); {
		case now > got:
			got, since = now, time.Now()
		case time.Since(since) > t.Patience():
			t.Fatalf("%d of %d deliveries came: %s", now, n, excerpt(c.texts()))
		}
	}
}

// shortLease returns a short AckDeadline.
func shortLease(t *suite.T) time.Duration {
	return max(t.Facet().Limits.MinAckDeadline, 400*time.Millisecond)
}

// withShortLease returns the option for a short AckDeadline.
func withShortLease(t *suite.T) pubsub.SubscribeOption { return pubsub.AckDeadline(shortLease(t)) }

func bodies(ds []*pubsub.Delivery) []string {
	out := make([]string, len(ds))
	for i, d := range ds {
		out[i] = string(d.Body)
	}
	return out
}

// wantSame compares two lists without regard to order.
func wantSame(t *suite.T, what string, got, want []string) {
	g, w := slices.Clone(got), slices.Clone(want)
	slices.Sort(g)
	slices.Sort(w)
	if !slices.Equal(g, w) {
		t.Errorf("%s: got %s, want %s, in any order", what, excerpt(got), excerpt(want))
	}
}

// wantOrder compares two lists with regard to order.
func wantOrder(t *suite.T, what string, got, want []string) {
	if slices.Equal(got, want) {
		return
	}
	for i := range min(len(got), len(want)) {
		if got[i] != want[i] {
			t.Errorf("%s: the message at %d is %s, want %s; all: %s", what, i, excerpt(got[i:i+1]), excerpt(want[i:i+1]), excerpt(got))
			return
		}
	}
	t.Errorf("%s: %d messages, want %d", what, len(got), len(want))
}

// excerpt returns the beginning of a list of bodies for a message.
func excerpt(all []string) string {
	short := make([]string, 0, 8)
	for i, b := range all {
		if i == 8 {
			return fmt.Sprintf("%q and %d more", short, len(all)-i)
		}
		short = append(short, b[:min(len(b), 40)])
	}
	return fmt.Sprintf("%q", short)
}
