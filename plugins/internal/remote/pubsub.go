package remote

import (
	"context"

	"fairlead.dev"
	"fairlead.dev/plugins/internal/convert"
	"fairlead.dev/plugins/internal/pluginpb/fairlead/plugin/v1"
	"fairlead.dev/pubsub/driver"
)

// OpenTopic implements the pubsub driver's Provider.
func (p *provider) OpenTopic(ctx context.Context, c driver.TopicConfig) (driver.Topic, error) {
	h, err := newHandle(ctx, p, nil, func(openReason) (*pluginpb.Call, error) {
		return &pluginpb.Call{Body: &pluginpb.Call_PubsubOpenTopic{PubsubOpenTopic: &pluginpb.PubSubOpenTopic{Name: c.Name}}}, nil
	})
	if err != nil {
		return nil, err
	}
	return &topic{h}, nil
}

// Topics implements the pubsub driver's Provider.
func (p *provider) Topics(ctx context.Context, prefix string) ([]string, error) {
	r, err := p.callProvider(ctx, &pluginpb.Call{Body: &pluginpb.Call_PubsubTopics{PubsubTopics: &pluginpb.PubSubTopics{Prefix: prefix}}}, false)
	return r.GetNames().GetNames(), err
}

// DeleteTopic implements the pubsub driver's Provider.
func (p *provider) DeleteTopic(ctx context.Context, name string) error {
	_, err := p.callProvider(ctx, &pluginpb.Call{Body: &pluginpb.Call_PubsubDeleteTopic{PubsubDeleteTopic: &pluginpb.PubSubDeleteTopic{Name: name}}}, true)
	return err
}

// DeleteGroup implements the pubsub driver's Provider.
func (p *provider) DeleteGroup(ctx context.Context, topic, group string) error {
	_, err := p.callProvider(ctx, &pluginpb.Call{Body: &pluginpb.Call_PubsubDeleteGroup{PubsubDeleteGroup: &pluginpb.PubSubDeleteGroup{Topic: topic, Group: group}}}, true)
	return err
}

// topic implements the pubsub driver's Topic.
type topic struct{ *handle }

// Send implements the pubsub driver's Topic.
func (t *topic) Send(ctx context.Context, msgs []driver.Message) []driver.SendResult {
	r, err := t.callWithHandle(ctx, &pluginpb.Call{Body: &pluginpb.Call_PubsubSend{PubsubSend: convert.FromMessages(msgs)}}, true)
	results := convert.ToSendResults(r.GetPubsubSendResults())
	if err == nil && len(results) != len(msgs) {
		err = fairlead.Errorf(fairlead.Internal, "the plugin returned %d results for %d messages", len(results), len(msgs))
	}
	if err == nil {
		for i := range results {
			if results[i].Err != nil {
				results[i].Err = t.p.callerError(ctx, results[i].Err)
			}
		}
		return results
	}
	results = make([]driver.SendResult, len(msgs))
	for i := range results {
		results[i].Err = err
	}
	return results
}

// Close implements the pubsub driver's Topic.
func (t *topic) Close(ctx context.Context) error { return t.closeHandle(ctx) }
