package memory

import (
	"cmp"
	"strings"
	"time"

	"github.com/tidwall/btree"
)

// deadlines orders the keys that have a time to live by its end.
type deadlines struct{ tree *btree.BTreeG[deadline] }

// deadline is the time at which a key expires.
type deadline struct {
	at  time.Time
	key string
}

func newDeadlines() deadlines {
	return deadlines{btree.NewBTreeGOptions(lessDeadline, btree.Options{NoLocks: true})}
}

func lessDeadline(a, b deadline) bool {
	return cmp.Or(a.at.Compare(b.at), strings.Compare(a.key, b.key)) < 0
}

// replace moves the deadline of a key from one time to another. The zero time
// stands for no deadline.
func (d deadlines) replace(key string, from, to time.Time) {
	if !from.IsZero() {
		d.tree.Delete(deadline{from, key})
	}
	if !to.IsZero() {
		d.tree.Set(deadline{to, key})
	}
}

// expiredKey returns the key with the earliest deadline, if that has passed.
func (d deadlines) expiredKey(now time.Time) (key string, expired bool) {
	earliest, ok := d.tree.Min()
	return earliest.key, ok && !earliest.at.After(now)
}

// earliest returns when the next key expires, or the zero time.
func (d deadlines) earliest() time.Time {
	earliest, _ := d.tree.Min()
	return earliest.at
}
