package dapr

import (
	"context"
	"sync"
	"time"

	runtimev1 "github.com/dapr/dapr/pkg/proto/runtime/v1"
	"google.golang.org/grpc/status"

	"fairlead.dev"
	"fairlead.dev/internal/await"
)

const (
	linkPause    = 50 * time.Millisecond // before the second attempt to subscribe
	maxLinkPause = time.Second
	// linkTimeout is how long a subscription may take to begin. A runtime that
	// ends another one, of whatever program, lets it wait for up to 30 seconds.
	linkTimeout = 40 * time.Second
	answerTime  = 50 * time.Millisecond
	// drainTimeout is how long a stream that ends waits for the runtime to have
	// read the last answers.
	drainTimeout = 3 * time.Second
)

// link is one streaming subscription of a feed.
type link struct {
	stream runtimev1.Dapr_SubscribeTopicEventsAlpha1Client

	mu       sync.Mutex // of sending
	answered time.Time  // when the last answer was sent
}

// answer acknowledges events. A failure means that the stream is broken; then
// the events come again.
func (l *link) answer(ids ...string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.answered = time.Now()
	for _, id := range ids {
		err := l.stream.Send(&runtimev1.SubscribeTopicEventsRequestAlpha1{
			SubscribeTopicEventsRequestType: &runtimev1.SubscribeTopicEventsRequestAlpha1_EventProcessed{
				EventProcessed: &runtimev1.SubscribeTopicEventsRequestProcessedAlpha1{
					Id: id, Status: &runtimev1.TopicEventResponse{Status: runtimev1.TopicEventResponse_SUCCESS},
				},
			},
		})
		if err != nil {
			return
		}
	}
}

// end says that nothing more is answered. The runtime then ends the stream. It
// forgets answers that it has read and not heeded yet, so they have some time.
func (l *link) end() {
	l.mu.Lock()
	defer l.mu.Unlock()
	time.Sleep(time.Until(l.answered.Add(answerTime)))
	_ = l.stream.CloseSend()
}

// keep keeps a subscription to a topic until the lane is closed, through all
// failures.
func (f *feed) keep(in *lane, topic string) {
	pause := linkPause
	for in.open.Err() == nil {
		linked, err := f.subscribe(in, topic)
		if in.open.Err() != nil {
			return
		}
		if linked {
			pause = linkPause
		} else {
			f.fail(err)
		}
		await.Pause(in.open, pause)
		pause = min(2*pause, maxLinkPause)
	}
}

// subscribe holds one stream for as long as it lasts. It reports whether there
// was one.
func (f *feed) subscribe(in *lane, topic string) (linked bool, err error) {
	ctx, cancel := context.WithCancel(f.life)
	defer cancel()
	l, err := f.link(ctx, cancel, in, topic)
	if err != nil {
		return false, notLinked(err)
	}
	unhook := context.AfterFunc(in.open, l.end)
	defer unhook()
	f.up(in, l)
	for {
		m, err := l.stream.Recv()
		if err != nil {
			f.down(in, l)
			return true, mapErr(err, false)
		}
		if e := m.GetEventMessage(); e != nil {
			f.arrive(l, newArrival(e))
		}
	}
}

// link opens a stream of the feed. What the runtime cannot deliver or hears no
// answer of, it moves to the topic of what comes again, before it takes it from
// its own: without a dead letter topic it would drop it.
func (f *feed) link(ctx context.Context, cancel context.CancelFunc, in *lane, topic string) (*link, error) {
	timer := time.AfterFunc(linkTimeout, cancel)
	defer timer.Stop()
	unhook := context.AfterFunc(in.open, cancel)
	defer unhook()
	return f.p.link(ctx, f.component, topic, f.again())
}

// notLinked says why a stream did not begin. None of those who wait for it has
// canceled it: the runtime ended it, or took too long.
func notLinked(err error) error {
	mapped := mapErr(err, false)
	if code := fairlead.CodeOf(mapped); code != fairlead.Canceled && code != fairlead.DeadlineExceeded {
		return mapped
	}
	return fairlead.Errorf(fairlead.Unavailable, "the sidecar did not confirm the subscription within %v, or ended it: %s", linkTimeout, status.Convert(err).Message())
}

// link opens a streaming subscription.
func (p *provider) link(ctx context.Context, component, topic, dead string) (*link, error) {
	stream, err := p.client.SubscribeTopicEventsAlpha1(ctx)
	if err != nil {
		return nil, err
	}
	err = stream.Send(&runtimev1.SubscribeTopicEventsRequestAlpha1{
		SubscribeTopicEventsRequestType: &runtimev1.SubscribeTopicEventsRequestAlpha1_InitialRequest{
			InitialRequest: &runtimev1.SubscribeTopicEventsRequestInitialAlpha1{
				PubsubName: component, Topic: topic, DeadLetterTopic: &dead,
			},
		},
	})
	if err != nil {
		_, err = stream.Recv() // the reason
		return nil, err
	}
	m, err := stream.Recv()
	if err != nil {
		return nil, err
	}
	if m.GetInitialResponse() == nil {
		return nil, fairlead.Errorf(fairlead.Internal, "the sidecar sent an event before it had confirmed the subscription")
	}
	return &link{stream: stream}, nil
}
