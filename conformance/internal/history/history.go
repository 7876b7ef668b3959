// Package history keeps the last calls that the cases of a run made of a provider's
// drivers, for the report of those that fail.
package history

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"fairlead.dev/conformance/internal/intercept"
)

// kept is how many calls of one store, topic, source or service are kept.
const kept = 60

// History holds the last calls by the store, topic, source or service that they were
// made of. Its methods may be called concurrently.
type History struct {
	began time.Time

	mu    sync.Mutex
	calls map[string][]call
	times map[string]*histogram // by kind of call
}

type call struct {
	began, ended time.Duration // since the history began
	text         string
}

// New returns an empty history that begins now.
func New() *History {
	return &History{began: time.Now(), calls: map[string][]call{}, times: map[string]*histogram{}}
}

// Record is a hook after a call.
func (h *History) Record(c *intercept.Call, output any, err error) {
	h.measure(c)
	if c.Target == "" {
		return
	}
	one := call{ended: time.Since(h.began), text: format(c, output, err)}
	one.began = c.Began.Sub(h.began)
	h.mu.Lock()
	defer h.mu.Unlock()
	all := h.calls[c.Target]
	if len(all) == kept {
		all = slices.Delete(all, 0, 1)
	}
	h.calls[c.Target] = append(all, one)
}

// Take returns the calls of a case, the last ones of each store, topic, source or
// service, in the order in which they began, and forgets them. prefix begins the names
// of the case, before a number.
func (h *History) Take(prefix string) []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	type named struct {
		call
		target string
	}
	var all []named
	for target, calls := range h.calls {
		short, ok := ofCase(target, prefix)
		if !ok {
			continue
		}
		delete(h.calls, target)
		for _, c := range calls {
			all = append(all, named{c, short})
		}
	}
	slices.SortFunc(all, func(a, b named) int { return cmp.Or(cmp.Compare(a.began, b.began), cmp.Compare(a.ended, b.ended)) })
	var lines []string
	for _, c := range all {
		lines = append(lines, fmt.Sprintf("%s to %s  #%s %s", milliseconds(c.began), milliseconds(c.ended), c.target, c.text))
	}
	return lines
}

// ofCase returns the part of a name after the case's prefix, which begins with a
// number, and false for the name of another case.
func ofCase(target, prefix string) (string, bool) {
	rest, ok := strings.CutPrefix(target, prefix+"-")
	return rest, ok && rest != "" && rest[0] >= '0' && rest[0] <= '9'
}

func milliseconds(d time.Duration) string {
	return fmt.Sprintf("%.3f", float64(d.Microseconds())/1000) + "ms"
}
