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

// The metadata that the bridge adds. Messages of other programs do not have it.
const (
	reserved     = "fairlead-"
	idName       = reserved + "id"
	packedName   = reserved + "metadata" // names and values that not every backend accepts, as a JSON object
	maxPlainName = 128
)

// plainNamePattern matches the names that every backend accepts unchanged.
var plainNamePattern = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9_.-]*$`)

func isPlain(name, value string) bool {
	return value != "" && len(name) <= maxPlainName && plainNamePattern.MatchString(name) && !strings.HasPrefix(name, reserved)
}

// encodeMessage returns the message for gocloud.dev. It shares no memory with m.
func encodeMessage(m driver.Message) *pubsub.Message {
	metadata, packed := map[string]string{idName: m.ID}, map[string]string{}
	for name, value := range m.Metadata {
		if isPlain(name, value) {
			metadata[name] = value
		} else {
			packed[name] = value
		}
	}
	if len(packed) > 0 {
		text, _ := json.Marshal(packed) // strings of valid UTF-8 do not fail
		metadata[packedName] = string(text)
	}
	return &pubsub.Message{Body: slices.Clone(m.Body), Metadata: metadata}
}

// newID returns an id for a message without one.
func newID() string { return rand.Text() }

// decodeMessage returns the content of a message of gocloud.dev. A message of
// another program has no id; it gets one that stays as long as this process
// holds it.
func decodeMessage(m *pubsub.Message) driver.Delivery {
	d := driver.Delivery{ID: m.Metadata[idName], Body: slices.Clone(m.Body)}
	for name, value := range m.Metadata {
		if name == idName || name == packedName {
			continue
		}
		if d.Metadata == nil {
			d.Metadata = map[string]string{}
		}
		d.Metadata[name] = value
	}
	if text := m.Metadata[packedName]; text != "" {
		addPackedMetadata(&d, text)
	}
	if d.ID == "" {
		d.ID = newID()
	}
	return d
}

// addPackedMetadata adds the metadata that is packed in one value. A value that
// cannot be unpacked is from another program and stays unchanged.
func addPackedMetadata(d *driver.Delivery, text string) {
	var packed map[string]string
	if d.Metadata == nil {
		d.Metadata = map[string]string{}
	}
	if err := json.Unmarshal([]byte(text), &packed); err != nil {
		d.Metadata[packedName] = text
		return
	}
	maps.Copy(d.Metadata, packed)
	delete(d.Metadata, "") // Fairlead never sends an empty name
}

// copyDelivery returns a copy of a delivery.
func copyDelivery(d driver.Delivery) driver.Delivery {
	d.Body = slices.Clone(d.Body)
	d.Metadata = maps.Clone(d.Metadata)
	return d
}
