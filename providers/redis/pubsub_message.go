package redis

import (
	"strings"
	"unicode/utf8"

	"fairlead.dev/pubsub/driver"
)

// The fields of a stream's entry. An entry of ours always has the body, and
// the other fields where the message has them.
const (
	bodyField     = "b"
	idField       = "i"
	keyField      = "k"
	metadataField = "m"
)

// appendFields appends the names and values of a message's fields. They share
// no memory with the message.
func appendFields(args []any, m driver.Message) []any {
	args = append(args, bodyField, string(m.Body))
	if m.ID != "" {
		args = append(args, idField, m.ID)
	}
	if m.Key != "" {
		args = append(args, keyField, m.Key)
	}
	if len(m.Metadata) > 0 {
		args = append(args, metadataField, encodeMetadata(m.Metadata))
	}
	return args
}

// decodeEntry returns the delivery of an entry, without token and attempt. An
// entry that another program added to the stream is delivered as far as
// possible: a field b as the body, and every other field of valid UTF-8 as
// metadata.
func decodeEntry(id string, fields []any) driver.Delivery {
	d := driver.Delivery{ID: id, Position: id, Time: timeOfID(id)}
	ours := len(fields) >= 2 && asText(fields[0]) == bodyField
	for i := 0; i+1 < len(fields); i += 2 {
		ours = decodeField(&d, asText(fields[i]), asText(fields[i+1])) && ours
	}
	d.Key = strings.ToValidUTF8(orderingKey(fields), "\uFFFD")
	if !ours {
		d.Metadata = foreignMetadata(fields)
	}
	return d
}

// decodeField reports whether the field is one of ours.
func decodeField(d *driver.Delivery, name, value string) bool {
	var err error
	switch name {
	case bodyField:
		d.Body = []byte(value)
	case idField:
		d.ID = strings.ToValidUTF8(value, "\uFFFD")
	case keyField: // see orderingKey
	case metadataField:
		d.Metadata, err = decodeMetadata(value)
	default:
		return false
	}
	return err == nil
}

func foreignMetadata(fields []any) map[string]string {
	m := map[string]string{}
	for i := 0; i+1 < len(fields); i += 2 {
		name, value := asText(fields[i]), asText(fields[i+1])
		if name != "" && name != bodyField && utf8.ValidString(name) && utf8.ValidString(value) {
			m[name] = value
		}
	}
	return m
}

// orderingKey returns the ordering key in the fields of an entry, as the server
// has it. The scripts read it in the same way: see key_of in pubsub_common.lua.
func orderingKey(fields []any) string {
	for i := 0; i+1 < len(fields); i += 2 {
		if asText(fields[i]) == keyField {
			return asText(fields[i+1])
		}
	}
	return ""
}
