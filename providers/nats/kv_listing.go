package nats

import (
	"sort"
	"strings"
	"sync"
	"time"
)

const (
	// tokenMark starts the tokens of pages; the name of the listing and the last
	// key of the page follow.
	tokenMark  = "after:"
	tokenJoint = ":"
	// listingKept is how long the keys of a listing are kept for its next page.
	// listingsKept is how many listings a handle keeps.
	listingKept  = 30 * time.Second
	listingsKept = 4
)

// listing holds the keys of one listing, in order, as they were before its first
// page, so that a later page need not ask for all of them again. The page itself
// finds out which of them still exist.
type listing struct {
	name   string // no other one has it
	prefix string
	keys   []string
	place  uint64 // in the history, before the keys were read
}

// after returns the keys after a key.
func (l *listing) after(last string) []string {
	return l.keys[sort.Search(len(l.keys), func(i int) bool { return l.keys[i] > last }):]
}

func (l *listing) token(last string) string { return tokenMark + l.name + tokenJoint + last }

// parseToken returns the listing's name and the last key of the previous page. The
// listing may belong to another handle, or may not be kept any more.
func parseToken(token, prefix string) (name, last string, err error) {
	rest, ok := strings.CutPrefix(token, tokenMark)
	name, last, joined := strings.Cut(rest, tokenJoint)
	if !ok || !joined || last == "" || !strings.HasPrefix(last, prefix) {
		return "", "", invalid("the page token is not one of a listing with the prefix %q", prefix)
	}
	return name, last, nil
}

// listings holds the listings under way on one handle.
type listings struct {
	mu   sync.Mutex
	kept map[string]keptListing
}

type keptListing struct {
	*listing
	forget *time.Timer
}

// find returns nil if the listing is not kept.
func (l *listings) find(name string) *listing {
	l.mu.Lock()
	defer l.mu.Unlock()
	k, ok := l.kept[name]
	if !ok {
		return nil
	}
	k.forget.Reset(listingKept)
	return k.listing
}

// keep keeps a listing for its next page, unless there are too many.
func (l *listings) keep(x *listing) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if _, ok := l.kept[x.name]; ok || len(l.kept) == listingsKept {
		return
	}
	if l.kept == nil {
		l.kept = map[string]keptListing{}
	}
	l.kept[x.name] = keptListing{x, time.AfterFunc(listingKept, func() { l.drop(x.name) })}
}

func (l *listings) drop(name string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if k, ok := l.kept[name]; ok {
		k.forget.Stop()
		delete(l.kept, name)
	}
}
