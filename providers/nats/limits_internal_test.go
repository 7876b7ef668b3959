package nats

import (
	"context"
	"math"
	"testing"
	"time"

	"fairlead.dev"
	"fairlead.dev/internal/dev/check"
	"fairlead.dev/internal/dev/testbed"
	kvdriver "fairlead.dev/kv/driver"
	"fairlead.dev/pubsub/driver"
)

// A time to live, up to the greatest number that there is, is never shorter than
// what the caller says, also after a restart.
func TestLongTTL(t *testing.T) {
	server := testbed.NATS(t)
	p := openProvider(t, server.URL())
	s := openTestStore(t, p)
	keys := map[string]time.Duration{
		"second": time.Second + 1, "day": 24 * time.Hour, "most": fairlead.MaxDuration,
		"beyond": fairlead.MaxDuration + 1, "all": math.MaxInt64,
	}
	for key, ttl := range keys {
		do(t, s, kvdriver.Op{Kind: kvdriver.OpPut, Key: key, Value: []byte("v"), TTL: ttl})
	}
	delete(keys, "second")
	there := func(when string) {
		t.Helper()
		for key := range keys {
			if r := s.Do(t.Context(), []kvdriver.Op{{Kind: kvdriver.OpGet, Key: key}})[0]; r.Err != nil {
				t.Errorf("%s, the key with the time to live %q: %v", when, key, r.Err)
			}
		}
	}
	check.Eventually(t, "the short time to live ends", func() bool {
		r := s.Do(t.Context(), []kvdriver.Op{{Kind: kvdriver.OpGet, Key: "second"}})[0]
		return fairlead.CodeOf(r.Err) == fairlead.NotFound
	})
	there("after a second")
	check.NoError(t, server.Kill(t.Context()))
	check.NoError(t, server.Start(t.Context()))
	check.Eventually(t, "the server serves again", func() bool {
		return s.Do(t.Context(), []kvdriver.Op{{Kind: kvdriver.OpGet, Key: "day"}})[0].Err == nil
	})
	there("after a restart")
}

// The longest delay and the longest lease that the limits name are right, and so are
// the times from which a group can begin.
func TestLongDelays(t *testing.T) {
	p := openProvider(t, testbed.NATS(t).URL())
	top, err := p.OpenTopic(t.Context(), driver.TopicConfig{Name: "t"})
	check.NoError(t, err)
	topic := top.(*publisher)
	check.NoError(t, topic.Send(t.Context(), []driver.Message{{Body: []byte("1")}})[0].Err)
	for _, c := range []struct {
		group string
		at    time.Time
		all   bool
	}{
		{"zero", time.Time{}, true},
		{"year-0", time.Date(-1, 1, 1, 0, 0, 0, 0, time.UTC), true},
		{"epoch", time.Unix(0, 0), true},
		{"before-2262", time.Unix(0, math.MaxInt64), false},
		{"after-2262", time.Date(2300, 1, 1, 0, 0, 0, 0, time.UTC), false},
		{"year-99999", time.Date(99_999, 1, 1, 0, 0, 0, 0, time.UTC), false},
		{"most", time.Unix(math.MaxInt64/2, 0), false},
	} {
		s, err := p.OpenSubscription(t.Context(), driver.SubscriptionConfig{
			Topic: "t", Group: c.group, Start: driver.StartTime, Time: c.at, AckDeadline: fairlead.MaxDuration,
		})
		if err != nil {
			t.Errorf("a start at %s: %v", c.group, err)
			continue
		}
		ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
		if c.all {
			ctx, cancel = context.WithTimeout(t.Context(), 30*time.Second)
		}
		got, err := s.Receive(ctx, 1)
		if (len(got) == 1) != c.all {
			t.Errorf("a start at %s gets %d messages, %v", c.group, len(got), err)
		}
		cancel()
		for _, d := range got {
			for _, st := range []driver.Settlement{
				{Token: d.Token, Kind: driver.Extend, Delay: fairlead.MaxDuration},
				{Token: d.Token, Kind: driver.Nack, Delay: maxDelay},
			} {
				check.NoError(t, s.Settle(t.Context(), []driver.Settlement{st})[0])
			}
		}
		ctx, cancel = context.WithTimeout(t.Context(), 300*time.Millisecond)
		if got, _ := s.Receive(ctx, 1); len(got) != 0 {
			t.Errorf("a message that was given back for %v came at once", maxDelay)
		}
		cancel()
	}
}
