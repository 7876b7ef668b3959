package pubsub

import (
	"context"
	"maps"
	"strconv"

	"fairlead.dev"
	"fairlead.dev/pubsub/driver"
)

// deadLetterConfig is what [DeadLetter] sets.
type deadLetterConfig struct {
	topic       string // empty without DeadLetter
	maxAttempts int
}

// deadLetters is the topic to which a subscription moves the messages whose
// attempts are used up.
type deadLetters struct {
	*Topic
	source      string // the topic that the messages come from
	maxAttempts int
}

// openDeadLetters returns nil without DeadLetter.
func openDeadLetters(ctx context.Context, p fairlead.Provider, o subscribeOptions) (*deadLetters, error) {
	if o.deadLetter.topic == "" {
		return nil, nil
	}
	t, err := openTopic(ctx, p, o.deadLetter.topic, nil)
	if err != nil {
		return nil, err
	}
	return &deadLetters{t, o.driver.Topic, o.deadLetter.maxAttempts}, nil
}

func (dl *deadLetters) close(ctx context.Context) error {
	if dl == nil {
		return nil
	}
	return dl.Close(ctx)
}

// moveToDeadLetters stores the message with the dead letters, then acknowledges
// it.
func (d *Delivery) moveToDeadLetters(ctx context.Context, reason string) error {
	dl := d.sub.dead
	metadata := map[string]string{}
	maps.Copy(metadata, d.Metadata)
	metadata["dead-letter-topic"] = dl.source
	metadata["dead-letter-attempts"] = strconv.Itoa(d.Attempt)
	metadata["dead-letter-reason"] = reason
	metadata["dead-letter-id"] = d.ID
	_, err := dl.Publish(ctx, Message{ID: dl.newID(d), Key: d.Key, Body: d.Body, Metadata: metadata})
	if err != nil {
		return err
	}
	return d.settle(ctx, driver.Settlement{Kind: driver.Ack})
}

// newID returns the id of a dead letter. The original id would be taken for a
// duplicate: one dead letter topic may receive ids of several topics, and one
// topic may use an id twice.
func (dl *deadLetters) newID(d *Delivery) string {
	if d.Position == "" {
		return ""
	}
	return dl.source + "@" + d.Position
}
