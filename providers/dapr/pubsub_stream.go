package dapr

import (
	"context"
	"sync"
	"time"

	runtimev1 "github.com/dapr/dapr/pkg/proto/runtime/v1"
	"google.golang.org/grpc/status"

	"fairlead.dev"
	"fairlead.dev/providers"
)

const (
	resubscribePauseMin = 50 * time.Millisecond // the pause before the second attempt to subscribe
	resubscribePauseMax = time.Second
	// subscribeTimeout is how long a subscription may take to begin. While a
	// runtime ends another one, of any program, a new one waits for up to 30
	// seconds.
	subscribeTimeout = 40 * time.Second
	answerTime       = 50 * time.Millisecond
	// drainTimeout is how long a stream that ends waits until the runtime has
	// read the last answers.
	drainTimeout = 3 * time.Second
)

// eventStream is one streaming subscription of the runtime.
type eventStream struct {
	stream runtimev1.Dapr_SubscribeTopicEventsAlpha1Client

	mu       sync.Mutex // serializes sending
	answered time.Time  // when the last answer was sent
}

// answer acknowledges events. If it fails, the stream is broken, and the events
// are delivered again.
func (s *eventStream) answer(ids ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.answered = time.Now()
	for _, id := range ids {
		err := s.stream.Send(&runtimev1.SubscribeTopicEventsRequestAlpha1{
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

// end closes the sending side. The runtime then ends the stream. It drops
// answers that it has read but not processed, so end gives it some time for the
// last one.
func (s *eventStream) end() {
	s.mu.Lock()
	defer s.mu.Unlock()
	time.Sleep(time.Until(s.answered.Add(answerTime)))
	_ = s.stream.CloseSend()
}

// keepSubscribed subscribes to a topic again after every failure, until the
// topic stream is closed.
func (g *groupConsumer) keepSubscribed(in *topicStream, topic string) {
	pause := resubscribePauseMin
	for in.open.Err() == nil {
		began := time.Now()
		connected, err := g.runStream(in, topic)
		if in.open.Err() != nil {
			return
		}
		if !connected {
			g.recordFault(err)
		} else if time.Since(began) > resubscribePauseMax { // otherwise the runtime ends each one at once
			pause = resubscribePauseMin
		}
		providers.Pause(in.open, pause)
		pause = min(2*pause, resubscribePauseMax)
	}
}

// runStream handles the events of one stream until that ends. It reports whether
// the stream was established.
func (g *groupConsumer) runStream(in *topicStream, topic string) (connected bool, err error) {
	ctx, cancel := context.WithCancel(g.life)
	defer cancel()
	stream, err := g.openStream(ctx, cancel, in, topic)
	if err != nil {
		return false, subscribeError(err)
	}
	stop := context.AfterFunc(in.open, stream.end)
	defer stop()
	g.markConnected(in, stream)
	for {
		m, err := stream.stream.Recv()
		if err != nil {
			g.markDisconnected(in, stream)
			return true, convertError(err, false)
		}
		if e := m.GetEventMessage(); e != nil {
			g.handleEvent(stream, newReceivedEvent(e))
		}
	}
}

// openStream opens a stream of the group. The runtime moves events that it
// cannot deliver, or that get no answer, to the redelivery topic before it
// removes them from their own. Without a dead letter topic it would drop them.
func (g *groupConsumer) openStream(ctx context.Context, cancel context.CancelFunc, in *topicStream, topic string) (*eventStream, error) {
	timer := time.AfterFunc(subscribeTimeout, cancel)
	defer timer.Stop()
	stop := context.AfterFunc(in.open, cancel)
	defer stop()
	return g.p.openEventStream(ctx, g.component, topic, g.redeliveryTopic())
}

// subscribeError returns why a stream was not established. None of the waiting
// calls has canceled it: the runtime ended it, or took too long.
func subscribeError(err error) error {
	mapped := convertError(err, false)
	if code := fairlead.CodeOf(mapped); code != fairlead.Canceled && code != fairlead.DeadlineExceeded {
		return mapped
	}
	return fairlead.Errorf(fairlead.Unavailable, "the sidecar did not confirm the subscription within %v, or ended it: %s", subscribeTimeout, status.Convert(err).Message())
}

// openEventStream opens a streaming subscription.
func (p *provider) openEventStream(ctx context.Context, component, topic, dead string) (*eventStream, error) {
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
		return nil, fairlead.Errorf(fairlead.Internal, "the sidecar sent an event before it confirmed the subscription")
	}
	return &eventStream{stream: stream}, nil
}
