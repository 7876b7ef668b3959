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
	// Revision is the place of this change in the store's history. Pass it to [After]
	// to watch on from here: the first event is then the next change, after the
	// whole transaction if a Txn made several. For a PutEvent it is also the key's
	// new revision, for [Store.CAS].
	Revision Revision
}

func eventOf(e driver.Event) Event {
	return Event{Kind: EventKind(e.Kind), Key: e.Key, Value: e.Value, Revision: Revision(e.Revision)}
}
