package pubsub

import (
	"context"
	"unicode/utf8"

	"fairlead.dev"
	"fairlead.dev/pubsub/driver"
)

// Message is a message to publish. The caller must not change its slice and
// map until the call returns (after ErrUnknownOutcome: not at all); they are
// not kept.
type Message struct {
	// ID names the message; if it is empty, the backend names it. Where
	// [Dedupe] is claimed, an id is stored once within the provider's window.
	ID string
	// Key is the ordering key: messages with the same key are delivered in
	// order, one at a time. It requires the claim [OrderedByKey].
	Key      string
	Body     []byte            // nil and empty are the same
	Metadata map[string]string // names are case-sensitive and not empty
}

// Receipt says how a message was stored.
type Receipt struct {
	ID       string // the id that receivers see
	Position string // the message's place in the topic; opaque; empty if the backend has none
	// Duplicate is true if a message with this ID was stored before; this one
	// was not stored.
	Duplicate bool
}

// PublishResult is the result of one message of [Topic.PublishMany].
type PublishResult struct {
	Receipt Receipt // the zero value if Err is not nil
	// Err is nil if the message is stored, and a [*fairlead.Error] otherwise.
	// With ErrUnknownOutcome the message may be stored; with any other code it
	// is not.
	Err error
}

func newReceipt(r driver.SendResult) Receipt {
	return Receipt{ID: r.ID, Position: r.Position, Duplicate: r.Duplicate}
}

func newPublishResult(r driver.SendResult) PublishResult {
	if r.Err != nil {
		return PublishResult{Err: r.Err}
	}
	return PublishResult{Receipt: newReceipt(r)}
}

// newDriverMessage returns the message in the driver's form, with the trace
// context and the deadline of ctx.
func newDriverMessage(ctx context.Context, m Message) driver.Message {
	d := driver.Message{ID: m.ID, Key: m.Key, Body: m.Body, Metadata: injectTraceContext(ctx, m.Metadata)}
	d.Deadline, _ = ctx.Deadline()
	return d
}

func checkMessage(m driver.Message, maxBytes int) error {
	if !utf8.ValidString(m.ID) || !utf8.ValidString(m.Key) {
		return fairlead.Errorf(fairlead.Invalid, "the ID or Key of the message is not valid UTF-8; encode other bytes, for example with base64")
	}
	for name, value := range m.Metadata {
		if name == "" || !utf8.ValidString(name) || !utf8.ValidString(value) {
			return fairlead.Errorf(fairlead.Invalid, "the metadata %q has an empty name or is not valid UTF-8; put other bytes into the body", name)
		}
	}
	if size := m.Size(); size > maxBytes {
		return fairlead.Errorf(fairlead.TooLarge, "the message has %d bytes including its id, key and metadata; the limit is %d", size, maxBytes)
	}
	return nil
}
