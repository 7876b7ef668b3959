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

// record is the value that a key has in the component: what the program wrote,
// and what makes it safe there.
type record struct {
	deleted  bool   // the key does not exist for the program: a tombstone
	deadline int64  // the end of its time to live in milliseconds since 1970; 0: none
	writes   uint64 // how often the key was written, this one included
	names    []name // of the last writes, the newest first
	value    []byte
}

// name is what a write is called: eight random bytes, which no other write of the
// key has.
type name [8]byte

func newName() (n name) {
	_, _ = rand.Read(n[:]) // never fails
	return n
}

const (
	// recordForm is the first byte of a record, by which it is told from what
	// others wrote.
	recordForm = 0xf1
	// keptNames is how many writes a record remembers. A write whose answer was
	// lost can be told from one that never happened while fewer than that came
	// after it.
	keptNames = 32
	// recordOverhead is the longest of what comes before a value.
	recordOverhead = 1 + 1 + 8 + 8 + 1 + keptNames*len(name{})
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
	b = append(b, byte(len(r.names)))
	for _, n := range r.names {
		b = append(b, n[:]...)
	}
	return append(b, r.value...)
}

// decodeRecord reads what encode wrote. The value is a part of b.
func decodeRecord(b []byte) (*record, error) {
	const fixed = 1 + 1 + 8 + 8 + 1
	if len(b) < fixed || b[0] != recordForm || b[1] > tombstoneFlag {
		return nil, foreign()
	}
	r := &record{
		deleted:  b[1] == tombstoneFlag,
		deadline: int64(binary.BigEndian.Uint64(b[2:])),
		writes:   binary.BigEndian.Uint64(b[10:]),
	}
	n, rest := int(b[18]), b[fixed:]
	if n == 0 || n > keptNames || len(rest) < n*len(name{}) {
		return nil, foreign()
	}
	for range n {
		r.names = append(r.names, name(rest))
		rest = rest[len(name{}):]
	}
	r.value = rest
	return r, nil
}

func foreign() error {
	return fairlead.Errorf(fairlead.Internal, "the key holds what another program wrote; give this one a \"prefix\" of its own")
}

// next returns the record of a write of that name behind r, which is nil for a
// key that was never written.
func (r *record) next(n name) *record {
	if r == nil {
		return &record{writes: 1, names: []name{n}}
	}
	names := slices.Concat([]name{n}, r.names)
	return &record{writes: r.writes + 1, names: names[:min(len(names), keptNames)]}
}

// has reports whether the write of that name is among those remembered.
func (r *record) has(n name) bool { return r != nil && slices.Contains(r.names, n) }

// same reports whether two records, either of which may be nil, are of one
// write.
func (r *record) same(o *record) bool {
	if r == nil || o == nil {
		return r == o
	}
	return r.names[0] == o.names[0]
}

// remembers reports whether r names every write that came behind base.
func (r *record) remembers(base *record) bool {
	switch {
	case r == nil:
		return false
	case base == nil:
		return r.writes <= uint64(len(r.names))
	}
	return slices.Contains(r.names, base.names[0])
}

// exists reports whether the program sees the key at a time.
func (r *record) exists(now time.Time, skew time.Duration) bool {
	return r != nil && !r.deleted && (r.deadline == 0 || now.UnixMilli()-skew.Milliseconds() <= r.deadline)
}

// revision is the name of the write that made the record.
func (r *record) revision() driver.Revision {
	return driver.Revision(base64.RawURLEncoding.EncodeToString(r.names[0][:]))
}
