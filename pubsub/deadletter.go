package pubsub

import (
	"context"
	"maps"
	"strconv"

	"fairlead.dev"
	"fairlead.dev/pubsub/driver"
)

type deadLetterConfig struct {
	topic       string
	maxAttempts int
}

// deadLetters is where a subscription moves what it cannot deal with.
type deadLetters struct {
	*Topic
	from        string
	maxAttempts int
}

func openDeadLetters(ctx context.Context, p fairlead.Provider, o subscribeOptions) (*deadLetters, error) {
	if o.deadLetter.topic == "" {
		return nil, nil
	}
	t, err := open(ctx, p, o.deadLetter.topic, nil)
	if err != nil {
		return nil, err
	}
	return &deadLetters{t, o.Topic, o.deadLetter.maxAttempts}, nil
}

func (dl *deadLetters) close(ctx context.Context) error {
	if dl == nil {
		return nil
	}
	return dl.Close(ctx)
}

// bury stores the message with the dead letters, then acknowledges it.
func (d *Delivery) bury(ctx context.Context, reason string) error {
	dl := d.sub.dead
	metadata := map[string]string{}
	maps.Copy(metadata, d.Metadata)
	metadata["dead-letter-topic"] = dl.from
	metadata["dead-letter-attempts"] = strconv.Itoa(d.Attempt)
	metadata["dead-letter-reason"] = reason
	metadata["dead-letter-id"] = d.ID
	_, err := dl.Publish(ctx, Message{ID: dl.id(d), Key: d.Key, Body: d.Body, Metadata: metadata})
	if err != nil {
		return err
	}
	return d.finish(ctx, driver.Settlement{Kind: driver.Ack})
}

// id names a dead letter: ids of several topics meet here, and one topic may
// use an id twice, so that the original would be taken for a duplicate.
func (dl *deadLetters) id(d *Delivery) string {
	if d.Position == "" {
		return ""
	}
	return dl.from + "@" + d.Position
}
