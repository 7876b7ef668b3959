package etcd

import (
	"encoding/binary"
	"time"

	"fairlead.dev"
	"fairlead.dev/pubsub/driver"
)

// A message is stored as its time in milliseconds, id, key and metadata, each
// string with its length before it, and the body.

func encodeMessage(m driver.Message, now time.Time) []byte {
	b := binary.AppendVarint(nil, now.UnixMilli())
	b = appendText(appendText(b, m.ID), m.Key)
	b = binary.AppendUvarint(b, uint64(len(m.Metadata)))
	for name, value := range m.Metadata {
		b = appendText(appendText(b, name), value)
	}
	return append(b, m.Body...)
}

func appendText(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

// decodeMessage returns a delivery without the fields that differ between
// deliveries of a message.
func decodeMessage(b []byte) (d driver.Delivery, err error) {
	r := reader{rest: b}
	ms, n := binary.Varint(b)
	r.skip(n)
	d.Time = time.UnixMilli(ms)
	d.ID, d.Key = r.text(), r.text()
	for range r.length() {
		if d.Metadata == nil {
			d.Metadata = map[string]string{}
		}
		name := r.text()
		d.Metadata[name] = r.text()
		if r.bad {
			break
		}
	}
	if r.bad {
		return driver.Delivery{}, fairlead.Errorf(fairlead.Internal, "the topic holds something that this provider did not write")
	}
	d.Body = r.rest
	return d, nil
}

// reader reads encoded values.
type reader struct {
	rest []byte
	bad  bool
}

func (r *reader) skip(n int) {
	if n <= 0 || n > len(r.rest) {
		r.rest, r.bad = nil, true
		return
	}
	r.rest = r.rest[n:]
}

// length returns at most the number of bytes that are left.
func (r *reader) length() int {
	v, n := binary.Uvarint(r.rest)
	r.skip(n)
	if r.bad || v > uint64(len(r.rest)) {
		r.bad = true
		return 0
	}
	return int(v)
}

func (r *reader) text() string {
	n := r.length()
	s := string(r.rest[:n])
	r.rest = r.rest[n:]
	return s
}
