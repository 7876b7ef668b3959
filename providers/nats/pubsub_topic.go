package nats

import (
	"context"
	"errors"
	"time"

	"fairlead.dev"
	"fairlead.dev/providers"
	"fairlead.dev/pubsub/driver"
)

// codeDuplicateBusy: in a cluster, a message with the same id is being stored.
const codeDuplicateBusy = 10158

// publisher is a handle for publishing.
type publisher struct {
	*topic
	life *providers.Lifetime
}

// OpenTopic implements the pubsub driver's Provider.
func (p *provider) OpenTopic(ctx context.Context, c driver.TopicConfig) (driver.Topic, error) {
	t, err := p.openTopic(ctx, c.Name)
	if err != nil {
		return nil, err
	}
	h := &publisher{topic: t, life: p.life.Child("topic")}
	if err := p.handles.Add(h); err != nil {
		return nil, errors.Join(err, h.Close(ctx))
	}
	return h, nil
}

// Close implements the pubsub driver's Topic.
func (h *publisher) Close(context.Context) error {
	h.p.handles.Remove(h)
	h.life.End()
	return nil
}

// Send implements the pubsub driver's Topic. All messages go out at once, and
// the server stores them in their order.
func (h *publisher) Send(ctx context.Context, msgs []driver.Message) []driver.SendResult {
	s := &sending{h: h, msgs: msgs, results: make([]driver.SendResult, len(msgs)), until: time.Now().Add(noResponderPatience)}
	if err := h.life.Check(ctx); err != nil {
		for i := range s.results {
			s.results[i].Err = err
		}
		return s.results
	}
	ctx, cancel := h.p.bound(ctx, h.life)
	defer cancel()
	all := make([]int, len(msgs))
	for i := range all {
		all[i] = i
	}
	for again := all; len(again) > 0; {
		again = s.sendAll(ctx, again)
		if len(again) > 0 && !providers.Pause(ctx, noResponderPause) {
			break
		}
	}
	return s.results
}

// sending is a Send under way.
type sending struct {
	h       *publisher
	msgs    []driver.Message
	results []driver.SendResult
	found   bool      // the topic was looked for again
	until   time.Time // how long to wait for a stream that takes the messages
}

// sendAll sends messages. It returns the messages that were not stored and may be
// sent again.
func (s *sending) sendAll(ctx context.Context, todo []int) (again []int) {
	state := s.h.current.Load()
	answers := make(chan answer, len(todo))
	waits := make(map[int]bool, len(todo))
	var tokens []string
	now := time.Now()
	for _, i := range todo {
		m := &s.msgs[i]
		if !m.Deadline.IsZero() && now.After(m.Deadline) {
			s.results[i].Err = fairlead.Errorf(fairlead.DeadlineExceeded, "the deadline passed %v before the message was sent", now.Sub(m.Deadline))
			continue
		}
		token, err := s.h.p.calls.sendRequest(encode(state.subjectOf(m.Key), *m), i, answers)
		if err != nil {
			s.results[i].Err = mapErr(err, false)
			continue
		}
		tokens, waits[i] = append(tokens, token), true
	}
	defer s.h.p.calls.abandon(tokens)
	for len(waits) > 0 {
		select {
		case a := <-answers:
			delete(waits, a.index)
			if s.takeAnswer(ctx, state, a) {
				again = append(again, a.index)
			}
		case <-ctx.Done():
			for i := range waits {
				s.results[i].Err = fairlead.Errorf(fairlead.UnknownOutcome, "the call ended before the server answered: %w", context.Cause(ctx))
			}
			return nil
		}
	}
	return again
}

// takeAnswer notes an answer, and reports whether the message should be sent
// again.
func (s *sending) takeAnswer(ctx context.Context, state *topicState, a answer) bool {
	r := &s.results[a.index]
	ack, err := parseAck(a)
	r.Err = err
	switch {
	case err == nil:
		r.Position = state.position(ack.Seq)
		r.Duplicate = ack.Duplicate
		if r.ID = s.msgs[a.index].ID; r.ID == "" {
			r.ID = r.Position
		}
		return false
	case isAPI(err, codeDuplicateBusy):
		return true
	case isNoResponder(err):
		return s.recreateTopic(ctx, state) || time.Now().Before(s.until) && s.h.p.nc.IsConnected()
	}
	return false
}

// recreateTopic finds out whether no stream takes the messages because the
// topic was deleted, and then creates it again.
func (s *sending) recreateTopic(ctx context.Context, state *topicState) bool {
	if !s.found {
		s.found = true
		_ = s.h.find(ctx) // without success, the message's own error stands
	}
	return s.h.current.Load().epoch != state.epoch
}
