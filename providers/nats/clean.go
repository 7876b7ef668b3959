package nats

import (
	"context"
	"strconv"
	"strings"

	"fairlead.dev"
	"fairlead.dev/providers"
)

var _ providers.Cleaner = (*provider)(nil)

// Clean implements [providers.Cleaner]. It deletes the records of ordering keys of
// topics that are gone, for example because another program deleted their streams:
// Topics does not list them. A broadcast ends with its topic, and nothing is kept for an
// rpc service.
func (p *provider) Clean(ctx context.Context, prefix string) (removed []string, err error) {
	d, err := p.Describe(ctx)
	if err != nil {
		return nil, err
	}
	if _, ok := d.Facet(fairlead.PubSub); !ok {
		return nil, nil // without JetStream there are no streams
	}
	streams, err := p.allStreams(ctx)
	if err != nil {
		return nil, err
	}
	for _, stream := range streams {
		topic, ok := p.topicOfLayer(stream)
		if !ok || !strings.HasPrefix(topic, prefix) {
			continue
		}
		if err := p.deleteStream(ctx, stream); err != nil {
			return removed, err
		}
		removed = append(removed, string(fairlead.PubSub)+" "+topic)
	}
	return removed, nil
}

// topicOfLayer returns the topic that a stream has records of.
func (p *provider) topicOfLayer(stream string) (topic string, ok bool) {
	rest, ok := strings.CutPrefix(stream, p.config.prefix+"-"+kindRecords)
	number, topic, ok2 := strings.Cut(rest, "-")
	if _, err := strconv.ParseUint(number, 10, 31); !ok || !ok2 || number != "" && err != nil {
		return "", false
	}
	return strings.ReplaceAll(topic, "=", "."), true
}
