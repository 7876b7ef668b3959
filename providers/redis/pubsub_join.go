package redis

import (
	"context"

	"fairlead.dev"
	"fairlead.dev/pubsub/driver"
)

// joinResult is the result of the join script.
type joinResult struct {
	epoch  string // identifies the topic
	cursor cursor // of a broadcast
}

// join creates the topic and the group if they do not exist. Joining twice has
// the same effect as once, so that a lost reply does no harm.
func (p *provider) join(ctx context.Context, c driver.SubscriptionConfig) (joinResult, error) {
	start, id, err := startArgs(c)
	if err != nil {
		return joinResult{}, err
	}
	keys := p.topicKeys(c.Topic)
	reply, err := p.query(ctx, keys.stream,
		joinScript.command(ctx, keys.all(), randomName(), start, id, c.Group, keys.group(c.Group).base))
	if err != nil {
		return joinResult{}, err
	}
	j, err := parseJoin(asList(reply), c.Position)
	if err != nil {
		return joinResult{}, err
	}
	return j, p.addName(ctx, p.topicNamesKey(), c.Topic)
}

// startArgs returns the arguments that tell the join script where a
// subscription starts.
func startArgs(c driver.SubscriptionConfig) (start, id string, err error) {
	switch c.Start {
	case driver.StartNew:
		return "new", "", nil
	case driver.StartEarliest:
		return "earliest", "", nil
	case driver.StartTime:
		return "id", lastIDBefore(millisecondOf(c.Time)), nil
	case driver.StartPosition:
		if !isStreamID(c.Position) {
			return "", "", invalidPositionError(c.Position)
		}
		return "position", c.Position, nil
	default:
		return "none", "", nil // no subscription, only the topic
	}
}

func invalidPositionError(position string) error {
	return invalidf("the position %q was never one of this topic; pass the position of a delivery", position)
}

func parseJoin(reply []any, position string) (joinResult, error) {
	switch asText(elementOf(reply, 0)) {
	case "ok":
		return joinResult{epoch: asText(elementOf(reply, 1)), cursor: parseCursor(elementOf(reply, 2))}, nil
	case "invalid":
		return joinResult{}, invalidPositionError(position)
	case "compacted":
		return joinResult{}, fairlead.Errorf(fairlead.Compacted, "the messages after position %q are no longer kept; start at the earliest", position)
	default:
		return joinResult{}, unexpectedReply(reply)
	}
}
