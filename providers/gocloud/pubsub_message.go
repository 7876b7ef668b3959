package gocloud

import (
	"crypto/rand"
	"encoding/json"
	"maps"
	"regexp"
	"slices"
	"strings"

	"gocloud.dev/pubsub"

	"fairlead.dev/pubsub/driver"
)

// The metadata of gocloud.dev that the bridge adds. A message of a program
// that knows nothing of Fairlead has none of it.
const (
	reserved    = "fairlead-"
	idName      = reserved + "id"
	restName    = reserved + "metadata" // names and values that not every backend takes, as a JSON object
	maxRestName = 128
)

// plainName is a name that every backend takes as it is.
var plainName = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9_.-]*$`)

func plain(name, value string) bool {
	return value != "" && len(name) <= maxRestName && plainName.MatchString(name) && !strings.HasPrefix(name, reserved)
}

// encode returns the message for gocloud.dev. It shares no memory with m.
func encode(m driver.Message) *pubsub.Message {
	metadata, rest := map[string]string{idName: m.ID}, map[string]string{}
	for name, value := range m.Metadata {
		if plain(name, value) {
			metadata[name] = value
		} else {
			rest[name] = value
		}
	}
	if len(rest) > 0 {
		text, _ := json.Marshal(rest) // strings of valid UTF-8 do not fail
		metadata[restName] = string(text)
	}
	return &pubsub.Message{Body: slices.Clone(m.Body), Metadata: metadata}
}

// newID names a message that its publisher did not name.
func newID() string { return rand.Text() }

// decode returns what a message of gocloud.dev holds. One without an id, of a
// stranger, gets one that stays as long as this process has it.
func decode(m *pubsub.Message) driver.Delivery {
	d := driver.Delivery{ID: m.Metadata[idName], Body: slices.Clone(m.Body)}
	for name, value := range m.Metadata {
		if name == idName || name == restName {
			continue
		}
		if d.Metadata == nil {
			d.Metadata = map[string]string{}
		}
		d.Metadata[name] = value
	}
	if text := m.Metadata[restName]; text != "" {
		addRest(&d, text)
	}
	if d.ID == "" {
		d.ID = newID()
	}
	return d
}

// addRest adds what is packed in one value. What cannot be unpacked is a
// stranger's, and stays as it is.
func addRest(d *driver.Delivery, text string) {
	var rest map[string]string
	if d.Metadata == nil {
		d.Metadata = map[string]string{}
	}
	if err := json.Unmarshal([]byte(text), &rest); err != nil {
		d.Metadata[restName] = text
		return
	}
	maps.Copy(d.Metadata, rest)
	delete(d.Metadata, "") // no publisher of ours sends it
}

// own returns a copy of a delivery.
func own(d driver.Delivery) driver.Delivery {
	d.Body = slices.Clone(d.Body)
	d.Metadata = maps.Clone(d.Metadata)
	return d
}
