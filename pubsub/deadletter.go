package pubsub

import (
	"context"
	"maps"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

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
	t.maxMessageBytes += driver.DeadLetterRoom
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
	if _, err := d.sub.dead.Publish(ctx, d.newDeadLetter(reason)); err != nil {
		return err
	}
	return d.settle(ctx, driver.Settlement{Kind: driver.Ack})
}

// maxReason is the length of a reason in bytes. With the other metadata it fits in
// the room that drivers reserve.
const maxReason = 1000

func (d *Delivery) newDeadLetter(reason string) Message {
	dl := d.sub.dead
	metadata := map[string]string{}
	maps.Copy(metadata, d.Metadata)
	metadata["dead-letter-topic"] = dl.source
	metadata["dead-letter-attempts"] = strconv.Itoa(d.Attempt)
	metadata["dead-letter-reason"] = cutText(reason, maxReason)
	metadata["dead-letter-id"] = d.ID
	return Message{ID: dl.newID(d), Key: d.Key, Body: d.Body, Metadata: metadata}
}

// cutText returns text as valid UTF-8 of at most limit bytes.
func cutText(text string, limit int) string {
	text = strings.ToValidUTF8(text, "\uFFFD")
	if len(text) <= limit {
		return text
	}
	const ellipsis = "…"
	cut := limit - len(ellipsis)
	for !utf8.RuneStart(text[cut]) {
		cut--
	}
	return text[:cut] + ellipsis
}

// longestPostponement is the delay of a message that cannot be moved to the dead
// letters.
const longestPostponement = 30 * time.Second

// postpone gives back a message that could not be moved to the dead letters, so that
// it is tried again later. Where delays are not claimed, it comes again when its
// lease ends.
func (d *Delivery) postpone(ctx context.Context) {
	if !d.sub.handle.Facet.Has(NackDelay) {
		return
	}
	delay := min(longestPostponement, d.sub.handle.Facet.Limits.MaxDelay)
	// If this fails, the message comes again when its lease ends.
	_ = d.settle(ctx, driver.Settlement{Kind: driver.Nack, Delay: delay})
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
