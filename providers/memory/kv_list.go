package memory

import (
	"context"
	"strconv"
	"strings"

	"github.com/tidwall/btree"

	"fairlead.dev"
	"fairlead.dev/kv/driver"
)

// pageBytes is the size at which a page ends. The last entry may exceed it.
const pageBytes = 4 << 20

// keptSnapshots is how many unfinished listings can be continued.
const keptSnapshots = 64

// snapshots holds the snapshots of the latest listings that have several pages.
type snapshots struct {
	newestID uint64
	ring     [keptSnapshots]*snapshot // by id modulo its length
}

// snapshot is the state of a table at one revision. Its tree is copy-on-write:
// it costs only what changes after the copy was made.
type snapshot struct {
	id       uint64
	revision uint64
	items    *btree.Map[string, item]
}

// keep stores a snapshot in place of the oldest one, and gives it an id.
func (s *snapshots) keep(revision uint64, items *btree.Map[string, item]) *snapshot {
	s.newestID++
	kept := &snapshot{s.newestID, revision, items}
	s.ring[kept.id%keptSnapshots] = kept
	return kept
}

// drop drops all snapshots. Their listings fail with Compacted.
func (s *snapshots) drop() { s.ring = [keptSnapshots]*snapshot{} }

// find returns the snapshot with an id, if it is still kept.
func (s *snapshots) find(id uint64) (*snapshot, bool) {
	found := s.ring[id%keptSnapshots]
	return found, found != nil && found.id == id
}

// List implements the kv driver's Store. A page token names a snapshot and the
// last key of the page.
func (s *store) List(ctx context.Context, r driver.ListRequest) (driver.Page, error) {
	if _, err := s.lockTable(ctx); err != nil {
		return driver.Page{}, err
	}
	defer s.table.mu.Unlock()
	if r.Token == "" {
		return s.table.listFirstPage(r), nil
	}
	return s.table.listNextPage(r)
}

// listFirstPage reads the present state. It keeps a snapshot only if further
// pages follow.
func (t *table) listFirstPage(r driver.ListRequest) driver.Page {
	present := snapshot{revision: t.revision, items: &t.items}
	page, more := present.readPage(r, "")
	if more {
		page.Token = formatPageToken(t.snapshots.keep(t.revision, t.items.Copy()), page)
	}
	return page
}

// listNextPage reads the snapshot that the page token names.
func (t *table) listNextPage(r driver.ListRequest) (driver.Page, error) {
	id, after, err := parsePageToken(r.Token)
	if err != nil {
		return driver.Page{}, err
	}
	snap, kept := t.snapshots.find(id)
	if !kept {
		return driver.Page{}, fairlead.Errorf(fairlead.Compacted, "the snapshot of this listing is no longer kept; start the listing again")
	}
	page, more := snap.readPage(r, after)
	if more {
		page.Token = formatPageToken(snap, page)
	}
	return page, nil
}

// readPage returns the entries after a key, and whether more follow.
func (s *snapshot) readPage(r driver.ListRequest, after string) (page driver.Page, more bool) {
	page.Revision = formatRevision(s.revision)
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
		page.Entries = append(page.Entries, driver.Entry{Key: key, Value: copyBytes(it.value), Revision: formatRevision(it.revision)})
		return true
	})
	return page, more
}

// formatPageToken returns the token of the page that follows p.
func formatPageToken(s *snapshot, p driver.Page) string {
	return strconv.FormatUint(s.id, 10) + ":" + p.Entries[len(p.Entries)-1].Key
}

func parsePageToken(token string) (id uint64, after string, err error) {
	number, after, ok := strings.Cut(token, ":")
	id, err = strconv.ParseUint(number, 10, 64)
	if !ok || err != nil {
		return 0, "", fairlead.Errorf(fairlead.Invalid, "the page token is not from this store; pass Page.Token unchanged")
	}
	return id, after, nil
}
