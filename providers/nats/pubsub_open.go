package nats

import (
	"context"
	"errors"
	"math"
	"strconv"
	"time"

	natsgo "github.com/nats-io/nats.go"

	"fairlead.dev"
	"fairlead.dev/providers"
	"fairlead.dev/pubsub/driver"
)

// consumerInfo is what we read of a consumer.
type consumerInfo struct {
	Name    string         `json:"name"`
	Config  consumerConfig `json:"config"`
	Created time.Time      `json:"created"`
	Acked   struct {
		Consumer uint64 `json:"consumer_seq"`
		Stream   uint64 `json:"stream_seq"`
	} `json:"ack_floor"`
	Pending int `json:"num_ack_pending"`
}

// OpenSubscription implements the pubsub driver's Provider.
func (p *provider) OpenSubscription(ctx context.Context, c driver.SubscriptionConfig) (driver.Subscription, error) {
	t, err := p.openTopic(ctx, c.Topic)
	if err != nil {
		return nil, err
	}
	s := &subscription{topic: t, group: c.Group, lease: c.AckDeadline, consumer: groupConsumer(c.Group)}
	if c.Group == "" {
		s.consumer = "b-" + randomName()
	}
	config, err := s.start(ctx, c)
	if err != nil {
		return nil, err
	}
	if err := s.createConsumer(ctx, config); err != nil {
		return nil, err
	}
	if err := s.open(); err != nil {
		return nil, errors.Join(err, s.Close(ctx))
	}
	return s, nil
}

// config returns the configuration of a new group or broadcast.
func (s *subscription) config() consumerConfig {
	c := consumerConfig{
		Name: s.consumer, Durable: s.consumer, DeliverPolicy: "new", AckPolicy: "explicit",
		AckWait: ackWait, MaxDeliver: -1, MaxAckPending: maxAckPending, MaxWaiting: maxWaiting, Replay: "instant",
	}
	if s.group == "" {
		c.Durable, c.Inactive = "", broadcastIdle
	}
	return c
}

// start returns the configuration of a consumer that begins where c says.
func (s *subscription) start(ctx context.Context, c driver.SubscriptionConfig) (consumerConfig, error) {
	config := s.config()
	switch c.Start {
	case driver.StartEarliest:
		config.DeliverPolicy = "all"
	case driver.StartTime:
		at := serverTime(c.Time)
		config.DeliverPolicy, config.StartTime = "by_start_time", &at
	case driver.StartPosition:
		seq, err := s.startPosition(ctx, c.Position)
		if err != nil {
			return config, err
		}
		config.DeliverPolicy, config.StartSeq = "by_start_sequence", seq+1
	}
	return config, nil
}

// serverTime returns a time as the server can read it, which knows the years 1970 to
// 2262. No message was published outside of them.
func serverTime(t time.Time) time.Time {
	first, last := time.Unix(0, 1), time.Unix(0, math.MaxInt64)
	switch {
	case t.Before(first):
		t = first
	case t.After(last):
		t = last
	}
	return t.UTC()
}

func (s *subscription) startPosition(ctx context.Context, position string) (uint64, error) {
	seq, ours, err := s.current.Load().parsePosition(position)
	if err != nil {
		return 0, err
	}
	if !ours {
		return 0, fairlead.Errorf(fairlead.Compacted, "the position is of a topic that was deleted")
	}
	info, err := s.p.streamInfo(ctx, s.stream)
	switch {
	case err != nil:
		return 0, err
	case seq > info.State.Last:
		return 0, invalid("the topic has not come to the position %q", position)
	case seq+1 < info.State.First:
		return 0, fairlead.Errorf(fairlead.Compacted, "the messages after the position are gone: they were older than the retention")
	}
	return seq, nil
}

// createConsumer finds the consumer of the group, and creates it if need be.
// Creating it twice has the effect of creating it once, so a lost answer does
// no harm.
func (s *subscription) createConsumer(ctx context.Context, config consumerConfig) error {
	var info consumerInfo
	for {
		err := s.p.retryOpening(ctx, func() (err error) {
			info, err = s.p.consumerInfo(ctx, s.stream, s.consumer)
			return err
		})
		if err == nil && s.group != "" {
			err = checkConsumer(s.group, info.Config, s.p.config.replicas)
		}
		if err == nil {
			s.bind(info)
			return nil
		}
		if !isAPI(err, codeConsumerNotFound) {
			return err
		}
		err = s.p.retryOpening(ctx, func() error { return s.p.createConsumer(ctx, s.stream, config) })
		switch {
		case err != nil && !isAPI(err, codeConsumerExists):
			return err
		case err != nil && !providers.Pause(ctx, conflictPause):
			return fairlead.ContextError(ctx)
		}
	}
}

// bind opens the records of the consumer's keys. A consumer that was deleted
// and created again does not use the records of the earlier one.
func (s *subscription) bind(info consumerInfo) {
	var records keyRecords = newLocalRecords()
	if s.group != "" {
		records = newSharedRecords(s.p, s.name, s.consumer+"/"+strconv.FormatInt(info.Created.UnixNano(), 10)+"/")
	}
	s.mu.Lock()
	before := s.byKey
	s.byKey, s.seen = records, natsgo.SequencePair{}
	s.mu.Unlock()
	if before != nil {
		before.close()
	}
}

// records returns the records of the keys.
func (s *subscription) records() keyRecords {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.byKey
}

func (p *provider) consumerInfo(ctx context.Context, stream, consumer string) (info consumerInfo, err error) {
	err = p.callAPI(ctx, "CONSUMER.INFO."+stream+"."+consumer, nil, &info, false)
	return info, err
}

// explainMissing finds out why the server does not know the consumer, and
// creates it again where that is possible.
func (s *subscription) explainMissing(ctx context.Context) error {
	info, err := s.p.streamInfo(ctx, s.stream)
	gone := isAPI(err, codeStreamNotFound)
	if err != nil && !gone {
		return err
	}
	if !gone && info.epoch() == s.current.Load().epoch {
		_, err := s.p.consumerInfo(ctx, s.stream, s.consumer)
		switch {
		case err == nil || !isAPI(err, codeConsumerNotFound):
			s.setMissing(time.Time{})
			return err
		case s.group != "":
			return s.confirmDeleted(ctx)
		}
	}
	return errors.Join(s.recreate(ctx), fairlead.Errorf(fairlead.Compacted, "messages were lost: the topic was deleted, or the server lost it, or forgot the broadcast after %v without a word from it", broadcastIdle))
}

// confirmAfter is how long a group must be missing before it counts as deleted. A
// server that starts may know a stream before its consumers.
const confirmAfter = time.Second

// confirmDeleted looks a second time whether the group is missing, after a pause. If
// the context ends in the pause, the next call goes on with what is left of it.
func (s *subscription) confirmDeleted(ctx context.Context) error {
	since := s.setMissing(time.Now())
	if left := confirmAfter - time.Since(since); left > 0 && !providers.Pause(ctx, left) {
		return fairlead.ContextError(ctx)
	}
	_, err := s.p.consumerInfo(ctx, s.stream, s.consumer)
	if isAPI(err, codeConsumerNotFound) {
		return fairlead.Errorf(fairlead.NotFound, "the group was deleted; subscribe again")
	}
	s.setMissing(time.Time{})
	return err
}

// setMissing notes since when the group is missing, or that it is not, for the zero
// time. It returns since when.
func (s *subscription) setMissing(now time.Time) time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	if now.IsZero() || s.missing.IsZero() {
		s.missing = now
	}
	return s.missing
}

// recreate begins again with the oldest message that there is.
func (s *subscription) recreate(ctx context.Context) error {
	if err := s.find(ctx); err != nil {
		return err
	}
	config := s.config()
	config.DeliverPolicy = "all"
	return s.createConsumer(ctx, config)
}
