package memory

import (
	"context"
	"strconv"
	"strings"

	"github.com/tidwall/btree"

	"fairlead.dev"
	"fairlead.dev/kv/driver"
)

// pageBytes is how much a page holds; its last entry may go beyond.
const pageBytes = 4 << 20

// keptSnapshots is how many listings that are not at their end can be gone on
// with.
const keptSnapshots = 64

// snapshots holds the moments that the tokens of recent listings name. A
// moment is a copy-on-write copy of the tree, so that it costs what changes
// afterwards.
type snapshots struct {
	last  uint64 // number of the newest
	trees [keptSnapshots]*snapshot
}

type snapshot struct {
	id    uint64
	rev   uint64
	items *btree.Map[string, item]
}

func (s *snapshots) add(rev uint64, items *btree.Map[string, item]) *snapshot {
	s.last++
	snap := &snapshot{s.last, rev, items}
	s.trees[s.last%keptSnapshots] = snap
	return snap
}

func (s *snapshots) find(id uint64) (*snapshot, bool) {
	snap := s.trees[id%keptSnapshots]
	return snap, snap != nil && snap.id == id
}

// List implements the kv driver's Store. A token is the number of a snapshot
// and the last key of the page before.
func (s *store) List(ctx context.Context, r driver.ListRequest) (driver.Page, error) {
	if _, err := s.lock(ctx); err != nil {
		return driver.Page{}, err
	}
	defer s.mu.Unlock()
	if r.Token == "" {
		return s.firstPage(r), nil
	}
	id, after, err := parseToken(r.Token)
	if err != nil {
		return driver.Page{}, err
	}
	snap, ok := s.snapshots.find(id)
	if !ok {
		return driver.Page{}, fairlead.Errorf(fairlead.Compacted, "the snapshot of this listing is no longer kept; list anew")
	}
	page, more := snap.page(r, after)
	if more {
		page.Token = token(snap, page)
	}
	return page, nil
}

// firstPage keeps a snapshot only if there are more pages.
func (s *store) firstPage(r driver.ListRequest) driver.Page {
	now := snapshot{rev: s.rev, items: &s.items}
	page, more := now.page(r, "")
	if more {
		page.Token = token(s.snapshots.add(s.rev, s.items.Copy()), page)
	}
	return page
}

// page returns entries behind a key, and whether more follow.
func (s *snapshot) page(r driver.ListRequest, after string) (page driver.Page, more bool) {
	page.Revision = format(s.rev)
	bytes := 0
	s.items.Ascend(max(r.Prefix, after), func(key string, it item) bool {
		if key == after && after != "" {
			return true
		}
		if !strings.HasPrefix(key, r.Prefix) {
			return false
		}
		if len(page.Entries) == r.Limit || bytes >= pageBytes {
			more = true
			return false
		}
		bytes += len(key) + len(it.value)
		page.Entries = append(page.Entries, driver.Entry{Key: key, Value: clone(it.value), Revision: format(it.rev)})
		return true
	})
	return page, more
}

func token(s *snapshot, p driver.Page) string {
	return strconv.FormatUint(s.id, 10) + ":" + p.Entries[len(p.Entries)-1].Key
}

func parseToken(t string) (id uint64, after string, err error) {
	number, after, ok := strings.Cut(t, ":")
	id, err = strconv.ParseUint(number, 10, 64)
	if !ok || err != nil {
		return 0, "", fairlead.Errorf(fairlead.Invalid, "the page token is not one that this store made; pass Page.Token unchanged")
	}
	return id, after, nil
}
