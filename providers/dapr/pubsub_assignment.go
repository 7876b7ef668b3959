package dapr

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"time"

	"fairlead.dev"
	"fairlead.dev/providers"
	"fairlead.dev/pubsub/driver"
)

// The pause before another attempt to add a group to a topic, which doubles with
// every attempt.
const (
	assignPause    = time.Millisecond
	assignPauseMax = 200 * time.Millisecond
)

// groups are the groups of a topic, as the state component stores them. The
// index of a group is the index of its component. Groups are never removed.
type groups struct {
	Groups []groupRecord `json:"groups"`
}

// groupRecord is a group of a topic.
type groupRecord struct {
	Name  string `json:"name"`
	Since int64  `json:"since"` // messages published before are not for the group; nanoseconds since 1970
}

// assignment is the component that a group consumes with, and the time from
// which messages are for the group.
type assignment struct {
	component string
	since     time.Time
}

// assignGroup returns the assignment of a group. It creates the group if there
// is none.
//
// The component's compare-and-set, which is known to fail for deleted keys, is
// sound here: every write of the key is first-write, and the key is never
// deleted. After any error of a write, the next read tells whether it was
// applied.
func (p *provider) assignGroup(ctx context.Context, c driver.SubscriptionConfig) (assignment, error) {
	since := start(c)
	patience := providers.Patience{Limit: p.config.requestTimeout, Pause: assignPause, MaxPause: assignPauseMax, Retries: mayHaveRaced}
	found, err := providers.Retry(ctx, p.life, patience, func(ctx context.Context) (assignment, bool, error) {
		return p.findOrCreateGroup(ctx, c, since)
	})
	if mayHaveRaced(err) {
		return assignment{}, fairlead.Errorf(fairlead.Unavailable, "the group %q cannot be stored in the state component: %w", c.Group, err)
	}
	return found, err
}

// findOrCreateGroup returns the assignment of a group and true. If there is none,
// it adds the group to the topic and returns false.
func (p *provider) findOrCreateGroup(ctx context.Context, c driver.SubscriptionConfig, since int64) (none assignment, found bool, err error) {
	components := p.pubsubComponents()
	known, etag, err := p.readGroups(ctx, c.Topic)
	if err != nil {
		return none, false, err
	}
	i := slices.IndexFunc(known.Groups, func(m groupRecord) bool { return m.Name == c.Group })
	switch {
	case i >= len(components):
		return none, false, invalid("the group %q of the topic %q is number %d, and the settings \"pubsub\" and \"group-pubsubs\" name %d components: name the components again that the group was created with", c.Group, c.Topic, i+1, len(components))
	case i >= 0:
		return assignment{components[i], time.Unix(0, known.Groups[i].Since)}, true, nil
	case len(known.Groups) >= len(components):
		return none, false, invalid("the topic %q already has %d groups, one for each component: for the group %q name one more pubsub component, with its own consumerID, in the setting \"group-pubsubs\"", c.Topic, len(known.Groups), c.Group)
	}
	known.Groups = append(known.Groups, groupRecord{c.Group, since})
	return none, false, p.writeGroups(ctx, c.Topic, known, etag)
}

// start returns the time from which messages are for a new group.
func start(c driver.SubscriptionConfig) int64 {
	switch c.Start {
	case driver.StartEarliest:
		return 0
	case driver.StartTime:
		return unixNano(c.Time)
	default:
		return time.Now().UnixNano()
	}
}

// unixNano returns the nanoseconds since 1970, or the nearest number for a time
// that has none: they end in the years 1677 and 2262.
func unixNano(t time.Time) int64 {
	switch {
	case t.Before(time.Unix(0, math.MinInt64)):
		return math.MinInt64
	case t.After(time.Unix(0, math.MaxInt64)):
		return math.MaxInt64
	}
	return t.UnixNano()
}

// mayHaveRaced reports whether a write may have lost against another one, or may
// have been applied despite its error.
func mayHaveRaced(err error) bool {
	code := fairlead.CodeOf(err)
	return code == fairlead.UnknownOutcome || code == fairlead.Conflict
}

func (p *provider) groupsKey(topic string) string {
	return p.config.prefix + "/pubsub/" + topic
}

func (p *provider) readGroups(ctx context.Context, topic string) (known groups, etag string, err error) {
	data, etag, err := p.readKey(ctx, p.groupStateComponent(), p.groupsKey(topic))
	if err != nil || len(data) == 0 {
		return groups{}, "", err
	}
	if known, err = decodeGroups(data); err != nil {
		return groups{}, "", fairlead.Errorf(fairlead.Internal, "the key %q of the state component does not hold the groups of a topic: %w", p.groupsKey(topic), err)
	}
	return known, etag, nil
}

// decodeGroups reads what encodeGroups wrote.
func decodeGroups(data []byte) (known groups, err error) {
	if err := json.Unmarshal(data, &known); err != nil {
		return groups{}, err
	}
	for i, g := range known.Groups {
		if g.Name == "" || slices.ContainsFunc(known.Groups[:i], func(other groupRecord) bool { return other.Name == g.Name }) {
			return groups{}, fmt.Errorf("group %d has no name of its own", i+1)
		}
	}
	return known, nil
}

func encodeGroups(g groups) ([]byte, error) { return json.Marshal(g) }

func (p *provider) writeGroups(ctx context.Context, topic string, g groups, etag string) error {
	data, err := encodeGroups(g)
	if err != nil {
		return fairlead.Errorf(fairlead.Internal, "encoding the groups of a topic: %w", err)
	}
	return p.writeKey(ctx, p.groupStateComponent(), p.groupsKey(topic), data, etag)
}

// readKey reads a key of a state component.
func (p *provider) readKey(ctx context.Context, store, key string) (data []byte, etag string, err error) {
	k := &stateKey{p: p, name: store, key: key}
	err = k.read(ctx)
	return k.data, k.etag, err
}

// writeKey writes a key of a state component if it still has the etag.
func (p *provider) writeKey(ctx context.Context, store, key string, data []byte, etag string) error {
	k := &stateKey{p: p, name: store, key: key, etag: etag}
	return k.write(ctx, data)
}
