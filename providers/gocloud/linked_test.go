package gocloud_test

import (
	"context"
	"errors"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"gocloud.dev/gcerrors"
	"gocloud.dev/pubsub"
	"gocloud.dev/pubsub/driver"

	"fairlead.dev"
	"fairlead.dev/conformance"
)

func init() {
	for scheme, nackable := range map[string]bool{"likesqs": true, "likekafka": false} {
		o := &opener{nackable: nackable, queues: map[string]map[string]*queue{}}
		pubsub.DefaultURLMux().RegisterTopic(scheme, o)
		pubsub.DefaultURLMux().RegisterSubscription(scheme, o)
	}
}

// opener is a driver of gocloud.dev that the bridge does not know. It has a queue
// for each group, from which every open subscription takes messages.
type opener struct {
	nackable bool
	mu       sync.Mutex
	queues   map[string]map[string]*queue // by topic, then by group
}

type queue struct {
	mu      sync.Mutex
	waiting []*driver.Message
}

func (q *queue) add(m *driver.Message) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.waiting = append(q.waiting, m)
}

func (o *opener) OpenTopicURL(_ context.Context, u *url.URL) (*pubsub.Topic, error) {
	return pubsub.NewTopic(&queueTopic{o: o, name: u.Host}, nil), nil
}

func (o *opener) OpenSubscriptionURL(_ context.Context, u *url.URL) (*pubsub.Subscription, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	groups := o.queues[u.Host]
	if groups == nil {
		groups = map[string]*queue{}
		o.queues[u.Host] = groups
	}
	if groups[u.Path] == nil {
		groups[u.Path] = &queue{}
	}
	return pubsub.NewSubscription(&queueFeed{o: o, queue: groups[u.Path], taken: map[driver.AckID]*driver.Message{}}, nil, nil), nil
}

var errQueue = errors.New("the queue broke")

// common holds the methods that topics and subscriptions share.
type common struct{}

func (common) IsRetryable(error) bool             { return false }
func (common) As(any) bool                        { return false }
func (common) ErrorAs(error, any) bool            { return false }
func (common) ErrorCode(error) gcerrors.ErrorCode { return gcerrors.Unknown }

type queueTopic struct {
	common
	o    *opener
	name string
}

func (t *queueTopic) Close() error { return nil }

// SendBatch fails for a message that asks for a failure.
func (t *queueTopic) SendBatch(_ context.Context, ms []*driver.Message) error {
	t.o.mu.Lock()
	defer t.o.mu.Unlock()
	for _, m := range ms {
		if strings.HasPrefix(string(m.Body), "\x00break") {
			return errQueue
		}
		for _, q := range t.o.queues[t.name] {
			q.add(&driver.Message{Body: m.Body, Metadata: m.Metadata})
		}
	}
	return nil
}

type queueFeed struct {
	common
	o     *opener
	queue *queue

	mu    sync.Mutex
	taken map[driver.AckID]*driver.Message
	next  int
}

func (f *queueFeed) ReceiveBatch(ctx context.Context, n int) ([]*driver.Message, error) {
	f.queue.mu.Lock()
	n = min(n, len(f.queue.waiting))
	got := f.queue.waiting[:n:n]
	f.queue.waiting = f.queue.waiting[n:]
	f.queue.mu.Unlock()
	if n == 0 {
		select {
		case <-time.After(20 * time.Millisecond):
		case <-ctx.Done():
		}
		return nil, ctx.Err()
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	out := make([]*driver.Message, n)
	for i, m := range got {
		f.next++
		f.taken[f.next] = m
		out[i] = &driver.Message{Body: m.Body, Metadata: m.Metadata, AckID: f.next, AsFunc: func(any) bool { return false }}
	}
	return out, nil
}

func (f *queueFeed) settle(ids []driver.AckID, back bool) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, id := range ids {
		m := f.taken[id]
		delete(f.taken, id)
		if back && m != nil {
			f.queue.add(m)
		}
	}
	return nil
}

func (f *queueFeed) SendAcks(_ context.Context, ids []driver.AckID) error {
	return f.settle(ids, false)
}
func (f *queueFeed) SendNacks(_ context.Context, ids []driver.AckID) error {
	return f.settle(ids, true)
}
func (f *queueFeed) CanNack() bool { return f.o.nackable }

// Close gives back the messages that were taken. Without Nack that happens at once,
// as in a queue whose consumer is gone. With Nack it happens when the time has
// passed for which the queue hides the messages.
func (f *queueFeed) Close() error {
	if f.o.nackable {
		time.AfterFunc(time.Second, f.giveBack)
	} else {
		f.giveBack()
	}
	return nil
}

func (f *queueFeed) giveBack() {
	f.mu.Lock()
	defer f.mu.Unlock()
	for id, m := range f.taken {
		delete(f.taken, id)
		f.queue.add(m)
	}
}

// linkedURL returns the URL that opens a driver that the bridge does not know.
func linkedURL(scheme string) string {
	return "gocloud+" + scheme + "://?topic=" + scheme + "://{topic}&subscription=" + scheme + "://{topic}/{group}&ack-deadline=1h"
}

// TestLinked runs the suite on drivers with and without Nack. The bridge knows only
// what gocloud.dev says about them.
func TestLinked(t *testing.T) {
	for _, scheme := range []string{"likesqs", "likekafka"} {
		t.Run(scheme, func(t *testing.T) {
			t.Parallel()
			report, err := conformance.Run(t.Context(), func(ctx context.Context) (fairlead.Provider, error) {
				return fairlead.Open(ctx, linkedURL(scheme))
			}, conformance.WithFacets(fairlead.PubSub))
			if err != nil {
				t.Fatal(err)
			}
			for _, r := range report.Results {
				if r.Bad() || r.Outcome == conformance.CouldNotRun {
					t.Errorf("%s: %s%v", r.Case, r.Reason, r.Failures)
				}
			}
			t.Log(report.Count(conformance.Passed), "cases passed")
		})
	}
}
