package mutants

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"

	"fairlead.dev"
	"fairlead.dev/conformance"
	psdriver "fairlead.dev/pubsub/driver"
)

// settling opens providers that change settlements of a kind, or carry them out
// themselves.
func settling(kind psdriver.SettleKind, change func(ctx context.Context, s *brokenSub, settlement *psdriver.Settlement) (bool, error)) conformance.Opener {
	return broken(broker{settle: func(ctx context.Context, s *brokenSub, settlement *psdriver.Settlement) (bool, error) {
		if settlement.Kind != kind {
			return false, nil
		}
		return change(ctx, s, settlement)
	}})
}

// nothing carries out a settlement by doing nothing.
func nothing(context.Context, *brokenSub, *psdriver.Settlement) (bool, error) { return true, nil }

// counting opens providers that report a wrong attempt.
func counting(change func(s *brokenSub, d *psdriver.Delivery)) conformance.Opener {
	return broken(broker{deliver: change})
}

var pubsubSettleMutants = []Mutant{
	{
		Name: "pubsub-acks-later", Breaks: "an acknowledgement is carried out after the call has returned, and lost when the subscription is closed",
		CaughtBy: cases("pubsub/rolling"),
		Open: brokenShared(broker{settle: func(ctx context.Context, s *brokenSub, settlement *psdriver.Settlement) (bool, error) {
			if settlement.Kind != psdriver.Ack {
				return false, nil
			}
			ack := []psdriver.Settlement{*settlement}
			time.AfterFunc(5*time.Millisecond, func() { s.Subscription.Settle(context.WithoutCancel(ctx), ack) })
			return true, nil
		}}),
	},
	{Name: "pubsub-ack-noop", Breaks: "an acknowledgement does nothing",
		CaughtBy: cases("pubsub/ack-final", "pubsub/ack-many", "pubsub/ack-final-lease", "pubsub/lease-each", "pubsub/handle", "pubsub/handle-waits", "pubsub/resubscribe", "pubsub/nack-many-times", "pubsub/extend-settled"),
		Open:     settling(psdriver.Ack, nothing)},
	{Name: "pubsub-ack-older", Breaks: "an acknowledgement settles all older messages too", CaughtBy: cases("pubsub/ack-own", "pubsub/settle-mixed"),
		Open: settling(psdriver.Ack, func(ctx context.Context, s *brokenSub, settlement *psdriver.Settlement) (bool, error) {
			for _, d := range s.holds() {
				if number(d.Token) < number(settlement.Token) {
					s.release(d.Token)
					_ = s.one(ctx, d.Token, psdriver.Ack)
				}
			}
			return false, nil
		})},
	{Name: "pubsub-nack-drops", Breaks: "giving back acknowledges",
		CaughtBy: cases("pubsub/nack-redeliver", "pubsub/nack-many-times", "pubsub/nack-others", "pubsub/nack-any-consumer", "pubsub/redelivery-same", "pubsub/settle-mixed", "pubsub/settle-twice", "pubsub/settle-canceled",
			"pubsub/handler-error", "pubsub/handler-panic", "pubsub/handler-settles", "pubsub/alias-groups", "pubsub/broadcast-nack", "pubsub/count-nack", "pubsub/key-nack"),
		Open: settling(psdriver.Nack, func(_ context.Context, _ *brokenSub, settlement *psdriver.Settlement) (bool, error) {
			settlement.Kind = psdriver.Ack
			return false, nil
		})},
	{Name: "pubsub-nack-waits", Breaks: "what is given back comes again only when its lease ends",
		CaughtBy: cases("pubsub/nack-redeliver", "pubsub/nack-others", "pubsub/handler-error", "pubsub/dead-letter-handler"), Open: settling(psdriver.Nack, nothing)},
	{Name: "pubsub-release-waits", Breaks: "what no handler has begun comes again only when its lease ends",
		CaughtBy: cases("pubsub/handle-gives-back"), Open: settling(psdriver.Release, nothing)},
	{Name: "pubsub-nack-unseen", Breaks: "what is given back comes to calls of Receive that begin later, not to one that waits", CaughtBy: cases("pubsub/nack-any-consumer", "pubsub/broadcast-wakes"), Open: nackUnseen()},
	{Name: "pubsub-nack-all", Breaks: "giving one message back gives back all that the consumer holds", CaughtBy: cases("pubsub/nack-others"),
		Open: settling(psdriver.Nack, func(ctx context.Context, s *brokenSub, _ *psdriver.Settlement) (bool, error) {
			for _, d := range s.holds() {
				_ = s.one(ctx, d.Token, psdriver.Nack)
			}
			return false, nil
		})},
	{Name: "pubsub-nack-copies", Breaks: "a message that is given back is published again, after the others", CaughtBy: cases("pubsub/redelivery-same", "pubsub/key-nack", "pubsub/key-handlers"),
		Open: settling(psdriver.Nack, republish)},
	{Name: "pubsub-nack-silent", Breaks: "a consumer that waits is not told of what another gives back", CaughtBy: cases("pubsub/nack-any-consumer", "pubsub/close-inflight-waiting", "pubsub/waiting-wakes", "pubsub/waiting-many", "pubsub/key-wakes"),
		Open: broken(broker{receive: sleepy})},
	{Name: "pubsub-delay-none", Breaks: "the delay of giving back is ignored", CaughtBy: cases("pubsub/nack-delay", "pubsub/nack-delay-limits", "pubsub/key-delay"),
		Open: settling(psdriver.Nack, func(_ context.Context, _ *brokenSub, settlement *psdriver.Settlement) (bool, error) {
			settlement.Delay = 0
			return false, nil
		})},
	{Name: "pubsub-delay-same", Breaks: "every delay lasts a second", CaughtBy: cases("pubsub/nack-delay-order", "pubsub/nack-delay-limits"),
		Open: settling(psdriver.Nack, func(_ context.Context, _ *brokenSub, settlement *psdriver.Settlement) (bool, error) {
			settlement.Delay = min(settlement.Delay*1000, time.Second)
			return false, nil
		})},
	{Name: "pubsub-extend-noop", Breaks: "extending does nothing", CaughtBy: cases("pubsub/extend", "pubsub/handle-extends"), Open: settling(psdriver.Extend, nothing)},
	{Name: "pubsub-extend-endless", Breaks: "a lease that was extended never ends", CaughtBy: cases("pubsub/extend"),
		Open: settling(psdriver.Extend, func(_ context.Context, _ *brokenSub, settlement *psdriver.Settlement) (bool, error) {
			settlement.Delay = time.Hour
			return false, nil
		})},
	{Name: "pubsub-lease-endless", Breaks: "a lease never ends", CaughtBy: cases("pubsub/lease-ends", "pubsub/lease-each", "pubsub/broadcast-lease", "pubsub/count-lease", "pubsub/dead-letter-crash", "pubsub/fenced-ack", "pubsub/key-lease"),
		Open: leasing(1000)},
	{Name: "pubsub-lease-early", Breaks: "a lease ends before its time", CaughtBy: cases("pubsub/lease-ends"), Open: leasing(0.5)},
	{Name: "pubsub-ack-late", Breaks: "an acknowledgement returns nil before the backend has it", CaughtBy: cases("pubsub/confirmed-ack"), Open: lateAcks("mem://")},
	{Name: "pubsub-ack-late-shared", Breaks: "an acknowledgement returns nil before the backend has it", CaughtBy: cases("pubsub/confirmed-ack-elsewhere"), Open: lateAcks("mem://late-acks")},
	{Name: "pubsub-unfenced", Breaks: "a settlement after the lease was lost settles the message of its new owner", CaughtBy: cases("pubsub/fenced-ack", "pubsub/fenced-nack", "pubsub/fenced-self"), Open: unfenced(nil)},
	{Name: "pubsub-unfenced-extend", Breaks: "extending succeeds after the lease was lost", CaughtBy: cases("pubsub/fenced-extend"),
		Open: broken(broker{settle: func(ctx context.Context, s *brokenSub, settlement *psdriver.Settlement) (bool, error) {
			if settlement.Kind != psdriver.Extend {
				return false, nil
			}
			_ = s.one(ctx, settlement.Token, settlement.Kind)
			return true, nil
		}})},
	{Name: "pubsub-fenced-in-name", Breaks: "a settlement after the lease was lost is refused, and carried out", CaughtBy: cases("pubsub/fenced-ack", "pubsub/fenced-nack", "pubsub/fenced-self"),
		Open: unfenced(fairlead.Errorf(fairlead.Conflict, "the lease was lost"))},
	{Name: "pubsub-count-one", Breaks: "every delivery says that it is the first", CaughtBy: cases("pubsub/count-nack", "pubsub/count-close", "pubsub/count-lease", "pubsub/dead-letter", "pubsub/dead-letter-handler", "pubsub/dead-letter-crash", "pubsub/dead-letter-key"),
		Open: counting(func(_ *brokenSub, d *psdriver.Delivery) { d.Attempt = 1 })},
	{Name: "pubsub-count-more", Breaks: "attempts are counted from zero", CaughtBy: cases("pubsub/count-nack", "pubsub/dead-letter", "pubsub/dead-letter-handler"),
		Open: counting(func(_ *brokenSub, d *psdriver.Delivery) { d.Attempt-- })},
	{Name: "pubsub-count-groups", Breaks: "attempts of all groups are counted together", CaughtBy: cases("pubsub/count-nack"), Open: countingTogether()},
}

// number returns the number of the message that a token of the memory
// provider stands for.
func number(token string) int {
	n, _, _ := strings.Cut(token, ".")
	i, err := strconv.Atoi(n)
	if err != nil {
		panic("a token of the memory provider is a number, a dot and a number: " + token)
	}
	return i
}

// republish acknowledges a delivery and publishes the message again.
func republish(ctx context.Context, s *brokenSub, settlement *psdriver.Settlement) (bool, error) {
	d := s.last(settlement.Token)
	t, err := s.provider.OpenTopic(ctx, psdriver.TopicConfig{Name: s.config.Topic})
	if err != nil {
		return true, err
	}
	t.Send(ctx, []psdriver.Message{{Key: d.Key, Body: d.Body, Metadata: d.Metadata}})
	return true, s.one(ctx, settlement.Token, psdriver.Ack)
}

// sleepy receives the available messages. If there are none, it looks again only
// after ten seconds.
func sleepy(ctx context.Context, s *brokenSub, limit int) ([]psdriver.Delivery, error) {
	for {
		now, cancel := context.WithTimeout(ctx, 5*time.Millisecond)
		deliveries, err := s.Subscription.Receive(now, limit)
		cancel()
		if err == nil || ctx.Err() != nil || !errors.Is(err, context.DeadlineExceeded) {
			return deliveries, err
		}
		select {
		case <-ctx.Done():
		case <-time.After(10 * time.Second):
		}
	}
}

// leasing multiplies the AckDeadline.
func leasing(by float64) conformance.Opener {
	return broken(broker{config: func(_ context.Context, _ psdriver.Provider, c *psdriver.SubscriptionConfig) error {
		c.AckDeadline = time.Duration(float64(c.AckDeadline) * by)
		return nil
	}})
}

// lateAcks keeps acknowledgements until the consumer receives again, and
// forgets them when it closes.
func lateAcks(url string) conformance.Opener {
	return brokenOf(url, func() broker {
		var mu sync.Mutex
		waiting := map[*brokenSub][]string{}
		return broker{
			settle: func(_ context.Context, s *brokenSub, settlement *psdriver.Settlement) (bool, error) {
				mu.Lock()
				defer mu.Unlock()
				if settlement.Kind != psdriver.Ack {
					return false, nil
				}
				waiting[s] = append(waiting[s], settlement.Token)
				return true, nil
			},
			receive: func(ctx context.Context, s *brokenSub, limit int) ([]psdriver.Delivery, error) {
				mu.Lock()
				for _, token := range waiting[s] {
					_ = s.one(ctx, token, psdriver.Ack)
				}
				delete(waiting, s)
				mu.Unlock()
				return s.Subscription.Receive(ctx, limit)
			},
		}
	})
}

// unfenced lets a settlement after the loss of its lease settle the new owner's
// delivery, and returns the given error or nil for it.
func unfenced(answer error) conformance.Opener {
	type owner struct {
		sub   *brokenSub
		token string
	}
	return breaking(func() broker {
		var mu sync.Mutex
		owners := map[string]owner{}
		name := func(s *brokenSub, token string) string {
			return fmt.Sprint(s.config.Topic, " ", s.config.Group, " ", number(token))
		}
		return broker{
			deliver: func(s *brokenSub, d *psdriver.Delivery) {
				mu.Lock()
				defer mu.Unlock()
				owners[name(s, d.Token)] = owner{s, d.Token}
			},
			settle: func(ctx context.Context, s *brokenSub, settlement *psdriver.Settlement) (bool, error) {
				mu.Lock()
				defer mu.Unlock()
				o := owners[name(s, settlement.Token)]
				if o.token == settlement.Token || o.sub == nil {
					return false, nil
				}
				_ = o.sub.one(ctx, o.token, settlement.Kind)
				return true, answer
			},
		}
	})
}

func countingTogether() conformance.Opener {
	return breaking(func() broker {
		var mu sync.Mutex
		counts := map[string]int{}
		return broker{deliver: func(s *brokenSub, d *psdriver.Delivery) {
			mu.Lock()
			defer mu.Unlock()
			counts[s.config.Topic+d.Position]++
			d.Attempt = counts[s.config.Topic+d.Position]
		}}
	})
}

// nackUnseen carries out a Nack only when its consumer receives next.
func nackUnseen() conformance.Opener {
	return breaking(func() broker {
		var mu sync.Mutex
		later := map[*brokenSub][]psdriver.Settlement{}
		return broker{
			settle: func(_ context.Context, s *brokenSub, settlement *psdriver.Settlement) (bool, error) {
				mu.Lock()
				defer mu.Unlock()
				if settlement.Kind == psdriver.Nack {
					later[s] = append(later[s], *settlement)
				}
				return settlement.Kind == psdriver.Nack, nil
			},
			receive: func(ctx context.Context, s *brokenSub, limit int) ([]psdriver.Delivery, error) {
				mu.Lock()
				nacks := later[s]
				delete(later, s)
				mu.Unlock()
				_ = s.Subscription.Settle(ctx, nacks)
				return s.Subscription.Receive(ctx, limit)
			},
		}
	})
}
