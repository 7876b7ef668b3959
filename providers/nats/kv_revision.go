package nats

import (
	"strconv"
	"strings"

	"fairlead.dev/kv/driver"
)

// revision is the sequence of the message with which a state of a key begins. All
// keys of a transaction have the sequence of its last message, so that a watch
// after the revision begins after all of them.
type revision struct {
	seq  uint64
	kind byte
}

const (
	plain   = byte(0)
	deleted = byte('d') // no key has it: it is only a position in the history
	ofTxn   = byte('t')
)

func (s *store) formatRevision(r revision) driver.Revision {
	b := make([]byte, 0, 32)
	b = append(append(b, s.epoch...), '.')
	b = strconv.AppendUint(b, r.seq, 10)
	if r.kind != plain {
		b = append(b, r.kind)
	}
	return driver.Revision(b)
}

// parseRevision returns Invalid for a revision that this provider never gives.
// ours is false for a revision of another store, or of a deleted one of this
// name.
func (s *store) parseRevision(text driver.Revision) (r revision, ours bool, err error) {
	epoch, number, ok := strings.Cut(string(text), ".")
	if ok && number != "" {
		if c := number[len(number)-1]; c == deleted || c == ofTxn {
			r.kind, number = c, number[:len(number)-1]
		}
		r.seq, err = strconv.ParseUint(number, 10, 64)
	}
	if !ok || err != nil || len(epoch) != len(s.epoch) || number == "" || number[0] < '0' || number[0] > '9' {
		return r, false, invalid("%q is not a revision of a NATS store", text)
	}
	return r, epoch == s.epoch, nil
}
