package mutants

import (
	"context"
	"slices"
	"strings"
	"sync"
	"time"

	"fairlead.dev"
	"fairlead.dev/conformance"
	psdriver "fairlead.dev/pubsub/driver"
)

var errAway = fairlead.Errorf(fairlead.Unavailable, "the backend is away")

// firstOf returns a function that is true for the first message of a topic.
func firstOf() func(topic string) bool {
	var mu sync.Mutex
	seen := map[string]bool{}
	return func(topic string) bool {
		mu.Lock()
		defer mu.Unlock()
		first := !seen[topic]
		seen[topic] = true
		return first
	}
}

var pubsubStoreMutants = []Mutant{
	{Name: "pubsub-drop-7th", Breaks: "every seventh message is acknowledged and not stored",
		CaughtBy: cases("pubsub/bulk-1000", "pubsub/batch-tail", "pubsub/concurrent-pub", "pubsub/concurrent-pub-many", "pubsub/close-concurrent", "pubsub/handle", "pubsub/broadcast-many", "pubsub/group-fanout", "pubsub/group-kept"),
		Open: breaking(func() broker {
			seventh := every(7)
			return broker{keep: func(string, *psdriver.Message) bool { return !seventh() }}
		})},
	{Name: "pubsub-drop-first", Breaks: "the first message of a topic is acknowledged and not stored",
		CaughtBy: cases("pubsub/missing-topic", "pubsub/batch-empty", "pubsub/invalid-message", "pubsub/canceled-publish", "pubsub/close-topic", "pubsub/close-twice", "pubsub/bad-names", "pubsub/good-names",
			"pubsub/bad-subscriptions", "pubsub/bad-receive", "pubsub/min-deadline", "pubsub/require", "pubsub/manage-missing"),
		Open: breaking(func() broker {
			first := firstOf()
			return broker{keep: func(topic string, _ *psdriver.Message) bool { return !first(topic) }}
		})},
	{Name: "pubsub-batch-tail", Breaks: "the messages of a batch after the first 64 are acknowledged and not stored", CaughtBy: cases("pubsub/bulk-1000", "pubsub/batch-tail", "pubsub/ordered-batch"),
		Open: broken(broker{send: func(ctx context.Context, next sending, msgs []psdriver.Message) []psdriver.SendResult {
			results := next(ctx, msgs[:min(64, len(msgs))])
			return append(results, make([]psdriver.SendResult, len(msgs)-len(results))...)
		}})},
	{Name: "pubsub-stored-twice", Breaks: "the first message of a call is stored twice", CaughtBy: cases("pubsub/bulk-1000", "pubsub/concurrent-pub", "pubsub/group-compete"),
		Open: broken(broker{send: func(ctx context.Context, next sending, msgs []psdriver.Message) []psdriver.SendResult {
			next(ctx, msgs[:1])
			return next(ctx, msgs)
		}})},
	{Name: "pubsub-receipts-mixed", Breaks: "the answers of a batch are in another order than its messages", CaughtBy: cases("pubsub/batch-receipts"),
		Open: broken(broker{send: func(ctx context.Context, next sending, msgs []psdriver.Message) []psdriver.SendResult {
			results := next(ctx, msgs)
			slices.Reverse(results)
			return results
		}})},
	{Name: "pubsub-publish-context-ignored", Breaks: "a batch is stored although its context had ended", CaughtBy: cases("pubsub/canceled-publish"),
		Open: broken(broker{send: func(ctx context.Context, next sending, msgs []psdriver.Message) []psdriver.SendResult {
			return next(context.WithoutCancel(ctx), msgs)
		}})},
	{Name: "pubsub-publish-lies", Breaks: "a message is stored, and its publication fails", CaughtBy: cases("pubsub/publish-outcomes"),
		Open: breaking(func() broker {
			third := every(3)
			return broker{result: func(_ string, _ psdriver.Message, r *psdriver.SendResult) {
				if third() {
					r.Err = errAway
				}
			}}
		})},
	{Name: "pubsub-needs-group", Breaks: "publishing to a topic without groups fails", CaughtBy: cases("pubsub/missing-topic"),
		Open: breaking(func() broker {
			var subscribed sync.Map
			return broker{
				config: func(_ context.Context, _ psdriver.Provider, c *psdriver.SubscriptionConfig) error {
					subscribed.Store(c.Topic, true)
					return nil
				},
				result: func(topic string, _ psdriver.Message, r *psdriver.SendResult) {
					if _, ok := subscribed.Load(topic); !ok {
						r.Err = fairlead.Errorf(fairlead.NotFound, "the topic has no subscriptions")
					}
				},
			}
		})},
	{Name: "pubsub-names-dots", Breaks: "a topic's name ends at its first dot", CaughtBy: cases("pubsub/topic-isolation", "pubsub/group-isolation", "pubsub/good-names", "pubsub/manage-topics"),
		Open: broken(broker{name: func(name string) string { short, _, _ := strings.Cut(name, "."); return short }})},
	{Name: "pubsub-names-folded", Breaks: "group names are folded to lower case", CaughtBy: cases("pubsub/group-isolation"),
		Open: broken(broker{config: func(_ context.Context, _ psdriver.Provider, c *psdriver.SubscriptionConfig) error {
			c.Group = strings.ToLower(c.Group)
			return nil
		}})},
	{Name: "pubsub-names-joined", Breaks: "topic and group make one name, joined by a character that both may have", CaughtBy: cases("pubsub/group-isolation"), Open: joinedNames()},
	{Name: "pubsub-names-short", Breaks: "names of more than 64 characters are refused", CaughtBy: cases("pubsub/good-names"),
		Open: broken(broker{config: func(_ context.Context, _ psdriver.Provider, c *psdriver.SubscriptionConfig) error {
			if len(c.Group) > 64 {
				return fairlead.Errorf(fairlead.Invalid, "the name is too long")
			}
			return nil
		}})},
	{Name: "pubsub-swap", Breaks: "neighbours of a batch are stored in the wrong order",
		CaughtBy: cases("pubsub/ordered", "pubsub/ordered-batch", "pubsub/ordered-given-back", "pubsub/ordered-backlog", "pubsub/ordered-reopen", "pubsub/key-reopen", "pubsub/atomic"),
		Open: broken(broker{send: func(ctx context.Context, next sending, msgs []psdriver.Message) []psdriver.SendResult {
			for i := 0; i+1 < len(msgs); i += 10 {
				msgs[i], msgs[i+1] = msgs[i+1], msgs[i]
			}
			results := next(ctx, msgs)
			for i := 0; i+1 < len(msgs); i += 10 {
				results[i], results[i+1] = results[i+1], results[i]
			}
			return results
		}})},
	{Name: "pubsub-dedupe-none", Breaks: "ids are not compared", CaughtBy: cases("pubsub/dedupe", "pubsub/dedupe-batch", "pubsub/dedupe-concurrent"),
		Open: breaking(func() broker {
			return broker{
				keep: func(_ string, m *psdriver.Message) bool {
					if m.ID != "" {
						m.ID += "\x00" + time.Now().String() + string(m.Body)
					}
					return true
				},
				result:  func(_ string, _ psdriver.Message, r *psdriver.SendResult) { r.ID, _, _ = strings.Cut(r.ID, "\x00") },
				deliver: func(_ *brokenSub, d *psdriver.Delivery) { d.ID, _, _ = strings.Cut(d.ID, "\x00") },
			}
		})},
	{Name: "pubsub-dedupe-silent", Breaks: "duplicates are not stored, and the receipt does not say so", CaughtBy: cases("pubsub/dedupe", "pubsub/dedupe-batch", "pubsub/dedupe-concurrent"),
		Open: broken(broker{result: func(_ string, _ psdriver.Message, r *psdriver.SendResult) { r.Duplicate = false }})},
	{Name: "pubsub-dedupe-everywhere", Breaks: "an id of another topic makes a duplicate", CaughtBy: cases("pubsub/dedupe-topics", "pubsub/dead-letter-ids"),
		Open: breaking(func() broker {
			var seen sync.Map
			return broker{keep: func(_ string, m *psdriver.Message) bool {
				_, again := seen.LoadOrStore(m.ID, true)
				return m.ID == "" || !again
			}}
		})},
	{Name: "pubsub-dedupe-for-good", Breaks: "ids are remembered for longer than the window", CaughtBy: cases("pubsub/dedupe-window"),
		Open: broken(broker{describe: limits(func(l *fairlead.Limits) { l.DedupeWindow = time.Second })})},
	{Name: "pubsub-atomic-halves", Breaks: "an atomic batch is stored in two steps, between which it can be given up", CaughtBy: cases("pubsub/atomic-given-up"),
		Open: broken(broker{send: func(ctx context.Context, next sending, msgs []psdriver.Message) []psdriver.SendResult {
			results := next(ctx, msgs[:len(msgs)/2])
			time.Sleep(time.Millisecond)
			return append(results, next(ctx, msgs[len(msgs)/2:])...)
		}})},
	{Name: "pubsub-list-all", Breaks: "listing topics lists one that does not begin with the prefix", CaughtBy: cases("pubsub/manage-topics"),
		Open: broken(broker{topics: func(next func() ([]string, error)) ([]string, error) {
			names, err := next()
			return append(names, "another"), err
		}})},
	{Name: "pubsub-delete-nothing", Breaks: "deleting a topic does nothing", CaughtBy: cases("pubsub/manage-topics", "pubsub/manage-delete-topic"),
		Open: broken(broker{deleteTopic: func(func() error) error { return nil }})},
	{Name: "pubsub-delete-missing", Breaks: "deleting a topic that does not exist is an error", CaughtBy: cases("pubsub/manage-missing"),
		Open: broken(broker{deleteTopic: func(func() error) error { return fairlead.Errorf(fairlead.NotFound, "no such topic") }})},
	{Name: "pubsub-delete-no-group", Breaks: "deleting a group does nothing", CaughtBy: cases("pubsub/manage-delete-group"),
		Open: broken(broker{deleteGroup: func(context.Context, psdriver.Provider, string, string) error { return nil }})},
	{Name: "pubsub-delete-all-groups", Breaks: "deleting a group deletes the topic's messages", CaughtBy: cases("pubsub/manage-delete-group", "pubsub/manage-missing"),
		Open: broken(broker{deleteGroup: func(ctx context.Context, p psdriver.Provider, topic, _ string) error {
			return p.DeleteTopic(ctx, topic)
		}})},
	{Name: "pubsub-not-shared", Breaks: "every Open has a backend of its own, and Shared is claimed", CaughtBy: cases("pubsub/shared", "pubsub/shared-group", "pubsub/close-provider", "pubsub/confirmed-ack-elsewhere"),
		Open: describing(claim(fairlead.Shared))},
}

// limits changes the limits of the facet.
func limits(change func(*fairlead.Limits)) func(*fairlead.Description) {
	return func(d *fairlead.Description) {
		for i := range d.Facets {
			if d.Facets[i].Facet == fairlead.PubSub {
				change(&d.Facets[i].Limits)
			}
		}
	}
}

// claim adds a claim to the facet in a description.
func claim(c fairlead.Claim) func(*fairlead.Description) {
	return func(d *fairlead.Description) {
		for i := range d.Facets {
			if d.Facets[i].Facet == fairlead.PubSub {
				d.Facets[i].Claims = append(d.Facets[i].Claims, c)
			}
		}
	}
}

// joinedNames puts all topics whose names have the same beginning into one,
// and lets a subscription see the messages of the topic to which the joined
// name was mapped last.
func joinedNames() conformance.Opener {
	return breaking(func() broker {
		var mu sync.Mutex
		first := map[string]string{}
		return broker{config: func(_ context.Context, _ psdriver.Provider, c *psdriver.SubscriptionConfig) error {
			mu.Lock()
			defer mu.Unlock()
			joined := c.Topic + "." + c.Group
			if topic, taken := first[joined]; taken {
				c.Topic = topic
			}
			first[joined] = c.Topic
			return nil
		}}
	})
}
