package redis

import (
	"strings"

	"fairlead.dev/kv/driver"
)

var eventKinds = map[byte]driver.EventKind{'P': driver.PutEvent, 'D': driver.DeleteEvent, 'X': driver.ExpireEvent}

// appendEvents appends the events of an entry of the log whose keys have the
// prefix.
func appendEvents(events []driver.Event, prefix, revision string, fields []any) []driver.Event {
	for i := 2; i+1 < len(fields); i += 2 { // the first pair names the write
		e, ok := parseEvent(asText(fields[i]), asText(fields[i+1]), revision)
		if ok && strings.HasPrefix(e.Key, prefix) {
			events = append(events, e)
		}
	}
	return events
}

// parseEvent takes a field's name, which is the kind and the key, and its value.
func parseEvent(name, value, revision string) (driver.Event, bool) {
	if name == "" {
		return driver.Event{}, false
	}
	e := driver.Event{Kind: eventKinds[name[0]], Key: name[1:], Revision: driver.Revision(revision)}
	if e.Kind == driver.PutEvent {
		e.Value = []byte(value)
	}
	return e, e.Kind != 0
}
