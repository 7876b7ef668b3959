package memory

import (
	"maps"
	"slices"
	"time"

	"fairlead.dev/pubsub/driver"
)

// messageLog holds the messages of a topic that are kept. They have consecutive
// sequence numbers from 1 on.
type messageLog struct {
	historySize int
	messages    []storedMessage // the oldest first
	dropped     uint64          // sequence number of the last message that was dropped
	trimLength  int             // the length at which the log is trimmed next
}

// storedMessage is immutable, body and metadata included.
type storedMessage struct {
	driver.Message
	stored time.Time
}

func newMessageLog(historySize int) messageLog {
	return messageLog{historySize: historySize, trimLength: 2 * historySize}
}

// first returns the sequence number of the oldest message, or of the next one
// if the log is empty.
func (l *messageLog) first() uint64 { return l.dropped + 1 }

// last returns the sequence number of the newest message.
func (l *messageLog) last() uint64 { return l.dropped + uint64(len(l.messages)) }

// message returns the message with a sequence number, which must be kept.
func (l *messageLog) message(sequence uint64) storedMessage {
	return l.messages[sequence-l.first()]
}

// firstSince returns the sequence number of the first message that was stored
// at or after a time, or of the next one.
func (l *messageLog) firstSince(start time.Time) uint64 {
	i := slices.IndexFunc(l.messages, func(m storedMessage) bool { return !m.stored.Before(start) })
	if i < 0 {
		return l.last() + 1
	}
	return l.first() + uint64(i)
}

func (l *messageLog) append(m driver.Message, now time.Time) {
	l.messages = append(l.messages, storedMessage{m, now})
}

// isTrimDue reports whether the log has twice the length that the last trim
// left, so that a message costs constant time.
func (l *messageLog) isTrimDue() bool { return len(l.messages) >= l.trimLength }

// trim drops messages before the sequence number needed. It leaves the history.
func (l *messageLog) trim(needed uint64) {
	if n := min(int(needed-l.first()), len(l.messages)-l.historySize); n > 0 {
		l.messages = slices.Clone(l.messages[n:])
		l.dropped += uint64(n)
	}
	l.trimLength = 2 * max(len(l.messages), l.historySize)
}

// clear drops all messages.
func (l *messageLog) clear() {
	l.dropped = l.last()
	l.messages, l.trimLength = nil, 2*l.historySize
}

// copyMetadata returns a copy, or nil if there is no metadata.
func copyMetadata(m map[string]string) map[string]string {
	if len(m) == 0 {
		return nil
	}
	return maps.Clone(m)
}
