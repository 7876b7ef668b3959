package convert

import (
	"math"
	"strings"
	"time"

	"fairlead.dev"
	"fairlead.dev/plugins/internal/pluginpb/fairlead/plugin/v1"
	"fairlead.dev/pubsub/driver"
)

// FromSubscription returns the message for the configuration of a
// subscription.
func FromSubscription(c driver.SubscriptionConfig) *pluginpb.PubSubOpenSubscription {
	return &pluginpb.PubSubOpenSubscription{
		Topic: c.Topic, Group: c.Group, Start: pluginpb.PubSubStart(c.Start),
		TimeUnixNanos: fromTime(c.Time), Position: []byte(c.Position), AckDeadlineNanos: int64(c.AckDeadline),
	}
}

// ToSubscription returns the configuration of a message.
func ToSubscription(c *pluginpb.PubSubOpenSubscription) driver.SubscriptionConfig {
	return driver.SubscriptionConfig{
		Topic: strings.Clone(c.GetTopic()), Group: strings.Clone(c.GetGroup()), Start: driver.Start(c.GetStart()),
		Time: toTime(c.GetTimeUnixNanos()), Position: string(c.GetPosition()), AckDeadline: time.Duration(c.GetAckDeadlineNanos()),
	}
}

func fromTime(t time.Time) int64 {
	switch {
	case t.IsZero():
		return 0
	case t.Before(minTime):
		return math.MinInt64
	case t.After(maxTime):
		return math.MaxInt64
	}
	// 0 stands for no time, so a nanosecond more stands for the epoch.
	if n := t.UnixNano(); n != 0 {
		return n
	}
	return 1
}

// The times that nanoseconds since the epoch can express.
var minTime, maxTime = time.Unix(0, math.MinInt64), time.Unix(0, math.MaxInt64)

func toTime(nanos int64) time.Time {
	if nanos == 0 {
		return time.Time{}
	}
	return time.Unix(0, nanos)
}

// FromMessages returns the message for messages to publish.
func FromMessages(msgs []driver.Message) *pluginpb.PubSubSend {
	now := time.Now()
	return &pluginpb.PubSubSend{Messages: messages(msgs, func(to *pluginpb.PubSubMessage, m driver.Message) {
		to.Id, to.Key, to.Body, to.Metadata, to.TimeoutNanos = m.ID, raw(m.Key), m.Body, m.Metadata, until(now, m.Deadline)
	})}
}

// ToMessages returns the messages to publish. Their strings share no memory with
// the message: a driver may keep strings.
func ToMessages(s *pluginpb.PubSubSend) []driver.Message {
	now := time.Now()
	return each(s.GetMessages(), func(m *pluginpb.PubSubMessage) driver.Message {
		return driver.Message{
			ID: strings.Clone(m.Id), Key: string(m.Key), Body: m.Body, Metadata: cloned(m.Metadata), Deadline: in(now, m.TimeoutNanos),
		}
	})
}

func cloned(metadata map[string]string) map[string]string {
	if metadata == nil {
		return nil
	}
	m := make(map[string]string, len(metadata))
	for name, value := range metadata {
		m[strings.Clone(name)] = strings.Clone(value)
	}
	return m
}

// FromSendResults returns the message for the results of a Send.
func FromSendResults(rs []driver.SendResult) *pluginpb.PubSubSendResults {
	return &pluginpb.PubSubSendResults{Results: messages(rs, func(m *pluginpb.PubSubSendResult, r driver.SendResult) {
		m.Id, m.Position, m.Duplicate, m.Error = r.ID, raw(r.Position), r.Duplicate, FromError(r.Err)
	})}
}

// ToSendResults returns the results of a Send.
func ToSendResults(rs *pluginpb.PubSubSendResults) []driver.SendResult {
	return each(rs.GetResults(), func(r *pluginpb.PubSubSendResult) driver.SendResult {
		return driver.SendResult{ID: r.Id, Position: string(r.Position), Duplicate: r.Duplicate, Err: ToError(r.Error)}
	})
}

// FromDeliveries returns the message for deliveries.
func FromDeliveries(ds []driver.Delivery) *pluginpb.PubSubDeliveries {
	return &pluginpb.PubSubDeliveries{Deliveries: messages(ds, func(m *pluginpb.PubSubDelivery, d driver.Delivery) {
		m.Id, m.Key, m.Body, m.Metadata, m.TimeUnixNanos = d.ID, raw(d.Key), d.Body, d.Metadata, fromTime(d.Time)
		m.Token, m.Attempt, m.Position = raw(d.Token), int64(d.Attempt), raw(d.Position)
	})}
}

// ToDeliveries returns the deliveries of a message.
func ToDeliveries(ds *pluginpb.PubSubDeliveries) []driver.Delivery {
	return each(ds.GetDeliveries(), func(d *pluginpb.PubSubDelivery) driver.Delivery {
		return driver.Delivery{
			ID: d.Id, Key: string(d.Key), Body: d.Body, Metadata: d.Metadata, Time: toTime(d.TimeUnixNanos),
			Token: string(d.Token), Attempt: int(d.Attempt), Position: string(d.Position),
		}
	})
}

// FromSettlements returns the message for settlements.
func FromSettlements(s []driver.Settlement) *pluginpb.PubSubSettle {
	return &pluginpb.PubSubSettle{Settlements: messages(s, func(m *pluginpb.PubSubSettlement, s driver.Settlement) {
		m.Token, m.Kind, m.DelayNanos = raw(s.Token), pluginpb.PubSubSettleKind(s.Kind), int64(s.Delay)
	})}
}

// ToSettlements returns the settlements of a message.
func ToSettlements(s *pluginpb.PubSubSettle) []driver.Settlement {
	return each(s.GetSettlements(), func(s *pluginpb.PubSubSettlement) driver.Settlement {
		return driver.Settlement{Token: string(s.Token), Kind: driver.SettleKind(s.Kind), Delay: time.Duration(s.DelayNanos)}
	})
}

// FromSettled returns the message for the outcomes of a Settle.
func FromSettled(errs []error) *pluginpb.PubSubSettled {
	s := &pluginpb.PubSubSettled{}
	for i, err := range errs {
		if err != nil {
			s.Failures = append(s.Failures, &pluginpb.PubSubSettleFailure{Index: int64(i), Error: FromError(err)})
		}
	}
	return s
}

// ToSettled returns the outcomes of a Settle of n settlements. The error is
// Internal if a failure belongs to none of them.
func ToSettled(s *pluginpb.PubSubSettled, n int) ([]error, error) {
	errs := make([]error, n)
	for _, f := range s.GetFailures() {
		if f.Index < 0 || f.Index >= int64(n) || f.Error == nil {
			return errs, fairlead.Errorf(fairlead.Internal, "the plugin reported a failure of settlement %d of %d", f.Index, n)
		}
		errs[f.Index] = ToError(f.Error)
	}
	return errs, nil
}
