package redis

import (
	"errors"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"fairlead.dev/pubsub/driver"
)

// The fields of a stream's entry. An entry of ours has the body, and the
// others where the message has them.
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

// encodeMetadata writes each name and each value as its length in decimal
// digits, a colon, and its bytes: "5:color3:red".
func encodeMetadata(m map[string]string) string {
	var b []byte
	for name, value := range m {
		b = appendCounted(b, name)
		b = appendCounted(b, value)
	}
	return string(b)
}

func appendCounted(b []byte, s string) []byte {
	b = strconv.AppendInt(b, int64(len(s)), 10)
	b = append(b, ':')
	return append(b, s...)
}

var errMetadata = errors.New("not an encoding of metadata")

// decodeMetadata is the inverse of encodeMetadata. It returns an error for
// what that does not write.
func decodeMetadata(s string) (map[string]string, error) {
	m := map[string]string{}
	for s != "" {
		name, rest, err := cutCounted(s)
		if err != nil {
			return nil, err
		}
		value, rest, err := cutCounted(rest)
		if err != nil {
			return nil, err
		}
		if _, twice := m[name]; twice || name == "" || !utf8.ValidString(name) || !utf8.ValidString(value) {
			return nil, errMetadata
		}
		m[name] = value
		s = rest
	}
	return m, nil
}

func cutCounted(s string) (value, rest string, err error) {
	digits, rest, ok := strings.Cut(s, ":")
	if !ok || !isUint(digits) {
		return "", "", errMetadata
	}
	n, err := strconv.Atoi(digits)
	if err != nil || n > len(rest) {
		return "", "", errMetadata
	}
	return rest[:n], rest[n:], nil
}

// decode makes a delivery, but for token and attempt, from an entry. An entry
// that somebody else put into the stream is delivered as far as it can be: a
// field b as the body, and every field of valid UTF-8 as metadata.
func decode(id string, fields []any) driver.Delivery {
	d := driver.Delivery{ID: id, Position: id, Time: timeOf(id)}
	ours := len(fields) >= 2 && text(fields[0]) == bodyField
	for i := 0; i+1 < len(fields); i += 2 {
		ours = decodeField(&d, text(fields[i]), text(fields[i+1])) && ours
	}
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
	case keyField:
		d.Key = strings.ToValidUTF8(value, "\uFFFD")
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
		name, value := text(fields[i]), text(fields[i+1])
		if name != "" && name != bodyField && utf8.ValidString(name) && utf8.ValidString(value) {
			m[name] = value
		}
	}
	return m
}

// timeOf returns the time in a stream id: when the server stored the entry.
func timeOf(id string) time.Time {
	digits, _, _ := strings.Cut(id, "-")
	ms, err := strconv.ParseInt(digits, 10, 64)
	if err != nil {
		return time.Time{}
	}
	return time.UnixMilli(ms)
}
