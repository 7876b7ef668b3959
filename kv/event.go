package kv

import (
	"fmt"

	"fairlead.dev/kv/driver"
)

// EventKind says what happened to a key.
type EventKind uint8

// The kinds of an [Event].
const (
	// PutEvent: the key has a new value and a new revision.
	PutEvent = EventKind(driver.PutEvent)
	// DeleteEvent: the key was deleted; where [ExpiryEvents] is not claimed,
	// it may have expired instead.
	DeleteEvent = EventKind(driver.DeleteEvent)
	// ExpireEvent: the key's time to live ended.
	ExpireEvent = EventKind(driver.ExpireEvent)
)

// String returns "put", "delete" or "expire".
func (k EventKind) String() string {
	switch k {
	case PutEvent:
		return "put"
	case DeleteEvent:
		return "delete"
	case ExpireEvent:
		return "expire"
	default:
		return fmt.Sprintf("event kind %d", uint8(k))
	}
}

// Event is one change of one key.
type Event struct {
	Kind  EventKind
	Key   string
	Value []byte // of a PutEvent
	// Revision is a place in the store's history: a watch [After] it begins
	// just after this event, or after the whole transaction if a Txn made
	// several events. For a PutEvent it is the key's revision as well.
	Revision Revision
}

func eventOf(e driver.Event) Event {
	return Event{Kind: EventKind(e.Kind), Key: e.Key, Value: e.Value, Revision: Revision(e.Revision)}
}
