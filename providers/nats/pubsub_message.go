package nats

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"net/url"
	"strconv"

	natsgo "github.com/nats-io/nats.go"

	"fairlead.dev/pubsub/driver"
)

const (
	// hdrMeta is the length of what stands before the body: id, ordering key
	// and metadata. Without it, the payload is the body.
	hdrMeta  = "Fairlead-Meta"
	hdrMsgID = "Nats-Msg-Id"
	// longestID is the length of the longest id that the server gets as it is.
	longestID = 200
)

// encode makes a message of the stream out of one of ours.
func encode(subject string, m driver.Message) *natsgo.Msg {
	out := &natsgo.Msg{Subject: subject, Data: m.Body}
	if m.ID == "" && m.Key == "" && len(m.Metadata) == 0 {
		return out
	}
	b := appendText(nil, m.ID)
	b = appendText(b, m.Key)
	for name, value := range m.Metadata {
		b = appendText(appendText(b, name), value)
	}
	out.Header = natsgo.Header{hdrMeta: {strconv.Itoa(len(b))}}
	out.Data = append(b, m.Body...)
	if m.ID != "" {
		out.Header[hdrMsgID] = []string{dedupeID(m.ID)}
	}
	return out
}

func appendText(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

// dedupeID returns the id by which the server detects duplicates: a header has
// no line ends, and is short.
func dedupeID(id string) string {
	if escaped := url.QueryEscape(id); len(escaped) <= longestID {
		return "=" + escaped
	}
	sum := sha256.Sum256([]byte(id))
	return hex.EncodeToString(sum[:])
}

var errForeign = errors.New("the message is not one that this provider wrote")

// decode reverses encode. A message that another program published has only a
// body.
func decode(m *natsgo.Msg) (d driver.Delivery, err error) {
	d.Body = m.Data
	text := m.Header.Get(hdrMeta)
	if text == "" {
		return d, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 0 || n > len(m.Data) {
		return d, errForeign
	}
	meta := m.Data[:n]
	d.Body = m.Data[n:]
	if d.ID, meta, err = cutText(meta); err != nil {
		return d, err
	}
	if d.Key, meta, err = cutText(meta); err != nil {
		return d, err
	}
	for len(meta) > 0 {
		var name, value string
		if name, meta, err = cutText(meta); err != nil {
			return d, err
		}
		if value, meta, err = cutText(meta); err != nil {
			return d, err
		}
		if d.Metadata == nil {
			d.Metadata = map[string]string{}
		}
		d.Metadata[name] = value
	}
	return d, nil
}

func cutText(b []byte) (string, []byte, error) {
	n, size := binary.Uvarint(b)
	if size <= 0 || n > uint64(len(b)-size) {
		return "", nil, errForeign
	}
	b = b[size:]
	return string(b[:n]), b[n:], nil
}
