package memory

import (
	"strconv"
	"sync"
	"time"

	"fairlead.dev"
	"fairlead.dev/providers"
	"fairlead.dev/pubsub/driver"
)

// topic holds the data of one topic: the messages that are still kept, and the
// groups that read them. Its methods are called with mu locked, except those for
// the catalog.
type topic struct {
	mu         sync.Mutex
	deleted    bool // by DeleteTopic, and not used since
	log        messageLog
	recentIDs  recentIDs
	groups     map[string]*group
	broadcasts uint64           // the number of broadcast subscriptions so far
	changed    providers.Signal // a message can be received, or a group or topic was deleted
}

func newTopic(historySize int, dedupeWindow time.Duration) *topic {
	return &topic{
		log:       newMessageLog(historySize),
		recentIDs: newRecentIDs(dedupeWindow),
		groups:    map[string]*group{},
	}
}

// isDeleted implements deletable.
func (t *topic) isDeleted() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.deleted
}

// undelete implements deletable.
func (t *topic) undelete() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.deleted = false
}

// delete implements deletable. A group without a handle ends with its topic.
func (t *topic) delete() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.log.clear()
	for name, g := range t.groups {
		if g.handles > 0 {
			g.restart()
		} else {
			t.deleteGroup(name)
		}
	}
	t.recentIDs = newRecentIDs(t.recentIDs.window)
	t.deleted = true
}

// publish stores one message, unless its id was stored within the dedupe
// window.
func (t *topic) publish(m driver.Message, now time.Time) driver.SendResult {
	t.deleted = false
	t.recentIDs.removeExpired(now)
	if sequence, duplicate := t.recentIDs.find(m.ID); duplicate {
		return driver.SendResult{ID: m.ID, Position: formatPosition(sequence), Duplicate: true}
	}
	sequence := t.log.last() + 1
	if m.ID == "" {
		m.ID = formatPosition(sequence)
	} else {
		t.recentIDs.add(m.ID, sequence, now)
	}
	m.Body, m.Metadata = copyBytes(m.Body), copyMetadata(m.Metadata)
	t.log.append(m, now)
	return driver.SendResult{ID: m.ID, Position: formatPosition(sequence)}
}

// trimLog drops the messages that no group needs and that exceed the history.
func (t *topic) trimLog() {
	if !t.log.isTrimDue() {
		return
	}
	needed := t.log.last() + 1
	for _, g := range t.groups {
		needed = min(needed, g.oldestNeeded())
	}
	t.log.trim(needed)
}

// firstSequence returns the sequence number at which a new group starts.
func (t *topic) firstSequence(c driver.SubscriptionConfig) (uint64, error) {
	switch c.Start {
	case driver.StartEarliest:
		return t.log.first(), nil
	case driver.StartTime:
		return t.log.firstSince(c.Time), nil
	case driver.StartPosition:
		return t.sequenceAfter(c.Position)
	default:
		return t.log.last() + 1, nil
	}
}

// sequenceAfter returns the sequence number of the message after a position.
func (t *topic) sequenceAfter(position string) (uint64, error) {
	sequence, err := strconv.ParseUint(position, 10, 64)
	if err != nil || sequence > t.log.last() {
		return 0, fairlead.Errorf(fairlead.Invalid, "position %q is not from this topic; pass the position of a delivery", position)
	}
	if sequence+1 < t.log.first() {
		return 0, fairlead.Errorf(fairlead.Compacted, "the messages after position %q are no longer kept; start at the earliest", position)
	}
	return sequence + 1, nil
}

func formatPosition(sequence uint64) string { return strconv.FormatUint(sequence, 10) }
