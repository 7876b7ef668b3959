package memory

import (
	"cmp"
	"slices"

	"fairlead.dev/kv/driver"
)

// history holds the latest changes of a table, the oldest first. It keeps at
// least size changes, if there were so many.
type history struct {
	size      int
	changes   []change
	compacted uint64 // revision of the last change that was dropped; 0 for none
}

// change is an event with its revision as a number.
type change struct {
	revision uint64
	driver.Event
}

// append adds a change. It drops old changes when it holds twice its size. The
// changes of one revision are dropped together.
func (h *history) append(e driver.Event, revision uint64) {
	e.Revision = formatRevision(revision)
	h.changes = append(h.changes, change{revision, e})
	if len(h.changes) < 2*h.size {
		return
	}
	cut := len(h.changes) - h.size
	h.compacted = h.changes[cut-1].revision
	for cut < len(h.changes) && h.changes[cut].revision == h.compacted {
		cut++
	}
	h.changes = slices.Clone(h.changes[cut:])
}

// after returns the changes whose revision is greater than the given one.
func (h *history) after(revision uint64) []change {
	from, _ := slices.BinarySearchFunc(h.changes, revision+1, func(c change, wanted uint64) int {
		return cmp.Compare(c.revision, wanted)
	})
	return h.changes[from:]
}

// copyEvent returns the event with a value that the caller may modify.
func (c change) copyEvent() driver.Event {
	if c.Kind == driver.PutEvent {
		c.Value = copyBytes(c.Value)
	}
	return c.Event
}
