package mutants

import (
	"context"
	"math"
	"time"

	"fairlead.dev"
	"fairlead.dev/kv/driver"
	psdriver "fairlead.dev/pubsub/driver"
)

// year is what the mutants of this file hold to be for ever.
const year = 365 * 24 * time.Hour

// kvBoundMutants are wrong at the ends of what a caller may give.
var kvBoundMutants = []Mutant{
	ttlMutant("ttl-wraps", "a time to live of many years wraps around, and ends soon", cases("kv/ttl-longest"), func(d time.Duration) time.Duration {
		if d > year {
			return 50 * time.Millisecond
		}
		return d
	}),
	kvDrift("ttl-over-longest", "a time to live above the published longest one is accepted", cases("kv/ttl-too-long"), func(f *fairlead.FacetDescription) { f.Limits.MaxTTL = time.Hour }),
	txnMutant("txn-ttl-half", "a Txn with a time to live of many years ends with an error, and its first write stays", cases("kv/ttl-longest"), func(ctx context.Context, s driver.Store, t driver.Txn) (driver.Revision, error) {
		for _, op := range t.Writes {
			if op.TTL > year {
				one(s, t.Writes[0])
				return "", fairlead.Errorf(fairlead.UnknownOutcome, "invalid expire time")
			}
		}
		return s.Txn(ctx, t)
	}),
	kvDrift("txn-over-value", "a Txn with a value over the published limit is applied", cases("kv/txn-unappliable"), func(f *fairlead.FacetDescription) { f.Limits.MaxValueBytes = 1000 }),
	kvMutant("list-page-wraps", "a page of many entries has none", cases("kv/list-largest-page"), func(s driver.Store) store {
		return store{list: func(ctx context.Context, r driver.ListRequest) (driver.Page, error) {
			page, err := s.List(ctx, r)
			if r.Limit >= 10_000 {
				page.Entries = nil
			}
			return page, err
		}}
	}),
}

var pubsubBoundMutants = []Mutant{
	{Name: "pubsub-deadline-wraps", Breaks: "an AckDeadline of many years wraps around, and ends soon", CaughtBy: cases("pubsub/max-deadline"),
		Open: configured(func(c *psdriver.SubscriptionConfig) {
			if c.AckDeadline > year {
				c.AckDeadline = 50 * time.Millisecond
			}
		})},
	{Name: "pubsub-delay-wraps", Breaks: "the longest delay ends at once", CaughtBy: cases("pubsub/nack-delay-longest"),
		Open: broken(broker{describe: limits(func(l *fairlead.Limits) { l.MaxDelay = 10 * year }), settle: func(_ context.Context, _ *brokenSub, settlement *psdriver.Settlement) (bool, error) {
			if settlement.Delay > year {
				settlement.Delay = 10 * time.Millisecond
			}
			return false, nil
		}})},
	{Name: "pubsub-time-wraps", Breaks: "a time after 2100 is one before all messages", CaughtBy: cases("pubsub/replay-time-extremes"),
		Open: configured(func(c *psdriver.SubscriptionConfig) {
			if c.Start == psdriver.StartTime && c.Time.Unix() > math.MaxUint32 {
				c.Time = time.Unix(1, 0)
			}
		})},
	{Name: "pubsub-release-counts", Breaks: "a message that no handler has begun counts as delivered", CaughtBy: cases("pubsub/release", "pubsub/release-dead-letter"),
		Open: broken(broker{settle: func(_ context.Context, _ *brokenSub, settlement *psdriver.Settlement) (bool, error) {
			if settlement.Kind == psdriver.Release {
				settlement.Kind = psdriver.Nack
			}
			return false, nil
		}})},
	{Name: "pubsub-fetched-counts", Breaks: "a message that was fetched ahead, and never handed out, counts as delivered", CaughtBy: cases("pubsub/release-close"),
		Open: breaking(func() broker { return broker{receive: fetchAhead()} })},
}

// fetchAhead takes all messages that are there, and hands out one at a time.
func fetchAhead() func(ctx context.Context, s *brokenSub, limit int) ([]psdriver.Delivery, error) {
	ahead := map[*brokenSub][]psdriver.Delivery{}
	return func(ctx context.Context, s *brokenSub, _ int) ([]psdriver.Delivery, error) {
		s.mu.Lock()
		defer s.mu.Unlock()
		if len(ahead[s]) == 0 {
			deliveries, err := s.Subscription.Receive(ctx, 100)
			if err != nil {
				return nil, err
			}
			ahead[s] = deliveries
		}
		first := ahead[s][:1]
		ahead[s] = ahead[s][1:]
		return first, nil
	}
}
