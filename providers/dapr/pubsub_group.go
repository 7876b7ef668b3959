package dapr

import (
	"context"
	"encoding/json"
	"slices"
	"time"

	common "github.com/dapr/dapr/pkg/proto/common/v1"
	runtimev1 "github.com/dapr/dapr/pkg/proto/runtime/v1"

	"fairlead.dev"
	"fairlead.dev/internal/await"
	"fairlead.dev/pubsub/driver"
)

// joinPause is the pause before a lost race for a topic's groups is run again.
const joinPause = 10 * time.Millisecond

// groups are the groups of a topic, as they are kept in the state component.
// The place of a group in the list is that of its component. Groups are never
// removed.
type groups struct {
	Groups []member `json:"groups"`
}

// member is a group of a topic.
type member struct {
	Name  string `json:"name"`
	Since int64  `json:"since"` // what was published before is not for the group; nanoseconds since 1970
}

// seat is what a group has.
type seat struct {
	component string
	since     time.Time
}

// join returns the seat of a group, and makes it if need be.
//
// The component's compare-and-set holds here although it is known to fail: the
// key is only ever written first-write and never deleted. Whatever error a
// write returns, the next look tells whether it was applied.
func (p *provider) join(ctx context.Context, c driver.SubscriptionConfig) (seat, error) {
	components := p.pubsubComponents()
	since := start(c)
	for {
		known, etag, err := p.readGroups(ctx, c.Topic)
		if err != nil {
			return seat{}, err
		}
		i := slices.IndexFunc(known.Groups, func(m member) bool { return m.Name == c.Group })
		switch {
		case i >= len(components):
			return seat{}, invalid("the group %q of the topic %q is number %d, and the parameters \"pubsub\" and \"group-pubsubs\" name %d components: name those again that it was made with", c.Group, c.Topic, i+1, len(components))
		case i >= 0:
			return seat{components[i], time.Unix(0, known.Groups[i].Since)}, nil
		case len(known.Groups) >= len(components):
			return seat{}, invalid("the topic %q has %d groups already, one for each component: to have the group %q too, name one more pubsub component, with a consumerID of its own, in the parameter \"group-pubsubs\"", c.Topic, len(known.Groups), c.Group)
		}
		known.Groups = append(known.Groups, member{c.Group, since})
		if err := p.writeGroups(ctx, c.Topic, known, etag); err != nil && !raced(err) {
			return seat{}, err
		}
		if !await.Pause(ctx, joinPause/10) {
			return seat{}, fairlead.ContextError(ctx)
		}
	}
}

// start says from when on messages are for a new group.
func start(c driver.SubscriptionConfig) int64 {
	switch c.Start {
	case driver.StartEarliest:
		return 0
	case driver.StartTime:
		return c.Time.UnixNano()
	default:
		return time.Now().UnixNano()
	}
}

// raced reports whether a write may have met another one, or may have been
// applied in spite of its error.
func raced(err error) bool {
	code := fairlead.CodeOf(err)
	return code == fairlead.UnknownOutcome || code == fairlead.Conflict
}

func (p *provider) groupsKey(topic string) string {
	return p.config.prefix + "/pubsub/" + topic
}

func (p *provider) readGroups(ctx context.Context, topic string) (known groups, etag string, err error) {
	data, etag, err := p.readKey(ctx, p.groupsComponent(), p.groupsKey(topic))
	if err != nil || len(data) == 0 {
		return groups{}, "", err
	}
	if err := json.Unmarshal(data, &known); err != nil {
		return groups{}, "", fairlead.Errorf(fairlead.Internal, "the key %q of the state component holds no groups: %w", p.groupsKey(topic), err)
	}
	return known, etag, nil
}

func (p *provider) writeGroups(ctx context.Context, topic string, g groups, etag string) error {
	data, err := json.Marshal(g)
	if err != nil {
		return fairlead.Errorf(fairlead.Internal, "encoding the groups of a topic: %w", err)
	}
	return p.writeKey(ctx, p.groupsComponent(), p.groupsKey(topic), data, etag)
}

// readKey reads a key of a state component.
func (p *provider) readKey(ctx context.Context, store, key string) (data []byte, etag string, err error) {
	var answer *runtimev1.GetStateResponse
	err = p.do(ctx, func(ctx context.Context) (err error) {
		answer, err = p.client.GetState(ctx, &runtimev1.GetStateRequest{
			StoreName: store, Key: key, Consistency: common.StateOptions_CONSISTENCY_STRONG,
		})
		return err
	})
	return answer.GetData(), answer.GetEtag(), err
}

// writeKey writes a key if it still has the etag.
func (p *provider) writeKey(ctx context.Context, store, key string, data []byte, etag string) error {
	item := &common.StateItem{
		Key: key, Value: data,
		Options: &common.StateOptions{Concurrency: common.StateOptions_CONCURRENCY_FIRST_WRITE, Consistency: common.StateOptions_CONSISTENCY_STRONG},
	}
	if etag != "" {
		item.Etag = &common.Etag{Value: etag}
	}
	return p.change(ctx, func(ctx context.Context) error {
		_, err := p.client.SaveState(ctx, &runtimev1.SaveStateRequest{StoreName: store, States: []*common.StateItem{item}})
		return err
	})
}
