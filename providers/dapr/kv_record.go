package dapr

import (
	"crypto/rand"
	"encoding/base64"
	"encoding/binary"
	"slices"
	"time"

	"fairlead.dev"
	"fairlead.dev/kv/driver"
)

// record is the value of a key in the component: the value of the program, and
// the data that makes writing it safe.
type record struct {
	deleted  bool      // the key does not exist for the program: a tombstone
	deadline int64     // the end of the time to live in milliseconds since 1970; 0 for none
	writes   uint64    // how often the key was written, this one included
	writeIDs []writeID // the last writes, the newest first
	value    []byte
}

// writeID identifies a write: eight random bytes, which no other write of the
// key has.
type writeID [8]byte

func newWriteID() (n writeID) {
	_, _ = rand.Read(n[:]) // never fails
	return n
}

const (
	// recordForm is the first byte of a record. It distinguishes records from
	// values of other programs.
	recordForm = 0xf1
	// keptWriteIDs is how many writes a record names. A write whose answer was
	// lost can be distinguished from one that was never made while fewer writes
	// than that came after it.
	keptWriteIDs = 32
	// recordOverhead bounds the size of what precedes the value.
	recordOverhead = 1 + 1 + 8 + 8 + 1 + keptWriteIDs*len(writeID{})
)

const tombstoneFlag = 1

// encode returns the record as it is stored.
func (r *record) encode() []byte {
	b := make([]byte, 0, recordOverhead+len(r.value))
	flags := byte(0)
	if r.deleted {
		flags = tombstoneFlag
	}
	b = append(b, recordForm, flags)
	b = binary.BigEndian.AppendUint64(b, uint64(r.deadline))
	b = binary.BigEndian.AppendUint64(b, r.writes)
	b = append(b, byte(len(r.writeIDs)))
	for _, n := range r.writeIDs {
		b = append(b, n[:]...)
	}
	return append(b, r.value...)
}

// decodeRecord reads what encode wrote. The value is a part of b.
func decodeRecord(b []byte) (*record, error) {
	const fixed = 1 + 1 + 8 + 8 + 1
	if len(b) < fixed || b[0] != recordForm || b[1] > tombstoneFlag {
		return nil, foreignValueError()
	}
	r := &record{
		deleted:  b[1] == tombstoneFlag,
		deadline: int64(binary.BigEndian.Uint64(b[2:])),
		writes:   binary.BigEndian.Uint64(b[10:]),
	}
	n, rest := int(b[18]), b[fixed:]
	if n == 0 || n > keptWriteIDs || len(rest) < n*len(writeID{}) {
		return nil, foreignValueError()
	}
	for range n {
		r.writeIDs = append(r.writeIDs, writeID(rest))
		rest = rest[len(writeID{}):]
	}
	r.value = rest
	return r, nil
}

func foreignValueError() error {
	return fairlead.Errorf(fairlead.Internal, "the key holds a value that another program wrote; set \"prefix\" to one that only Fairlead uses")
}

// successor returns the record of a write that follows r. r is nil for a key
// that was never written.
func (r *record) successor(n writeID) *record {
	if r == nil {
		return &record{writes: 1, writeIDs: []writeID{n}}
	}
	writeIDs := slices.Concat([]writeID{n}, r.writeIDs)
	return &record{writes: r.writes + 1, writeIDs: writeIDs[:min(len(writeIDs), keptWriteIDs)]}
}

// containsWrite reports whether the record names a write.
func (r *record) containsWrite(n writeID) bool { return r != nil && slices.Contains(r.writeIDs, n) }

// isSameWrite reports whether two records, which may be nil, are of the same
// write.
func (r *record) isSameWrite(o *record) bool {
	if r == nil || o == nil {
		return r == o
	}
	return r.writeIDs[0] == o.writeIDs[0]
}

// coversWritesSince reports whether r names every write that came after
// previous.
func (r *record) coversWritesSince(previous *record) bool {
	switch {
	case r == nil:
		return false
	case previous == nil:
		return r.writes <= uint64(len(r.writeIDs))
	}
	return slices.Contains(r.writeIDs, previous.writeIDs[0])
}

// exists reports whether the program sees the key at a time.
func (r *record) exists(now time.Time, skew time.Duration) bool {
	return r != nil && !r.deleted && (r.deadline == 0 || now.UnixMilli()-skew.Milliseconds() <= r.deadline)
}

// revision returns the revision of the record: the id of the write that made it.
func (r *record) revision() driver.Revision {
	return driver.Revision(base64.RawURLEncoding.EncodeToString(r.writeIDs[0][:]))
}
