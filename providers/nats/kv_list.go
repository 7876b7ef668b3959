package nats

import (
	"context"
	"crypto/rand"
	"sort"
	"strings"

	"fairlead.dev"
	"fairlead.dev/kv/driver"
)

const (
	pageEntries = 500
	pageBytes   = 4 << 20
	getsAtOnce  = 64
)

// List implements the kv driver's Store. The server knows the subjects, in no
// order; they are sorted here, and the values of the page read one by one.
func (s *store) List(ctx context.Context, r driver.ListRequest) (driver.Page, error) {
	if err := s.life.Check(ctx); err != nil {
		return driver.Page{}, err
	}
	joined, cancel := s.life.Join(ctx)
	defer cancel()
	page, err := s.readPage(joined, r)
	return page, explainCanceled(ctx, s.life, err)
}

func (s *store) readPage(ctx context.Context, r driver.ListRequest) (driver.Page, error) {
	l, last, err := s.listing(ctx, r)
	if err != nil {
		return driver.Page{}, err
	}
	page := driver.Page{Revision: s.formatRevision(revision{seq: l.place})}
	keys, limit, bytes := l.after(last), min(r.Limit, pageEntries), 0
	for len(keys) > 0 && len(page.Entries) < limit && bytes < pageBytes {
		n := min(len(keys), getsAtOnce, limit-len(page.Entries))
		entries, err := s.readEntries(ctx, keys[:n])
		if err != nil {
			return driver.Page{}, err
		}
		for _, e := range entries {
			bytes += len(e.Value)
		}
		page.Entries = append(page.Entries, entries...)
		last, keys = keys[n-1], keys[n:]
	}
	if len(keys) == 0 {
		s.listings.drop(l.name)
		return page, nil
	}
	s.listings.keep(l)
	page.Token = l.token(last)
	return page, nil
}

// listing returns the listing to which a page belongs, and the last key of the
// previous page.
func (s *store) listing(ctx context.Context, r driver.ListRequest) (l *listing, last string, err error) {
	if r.Token != "" {
		var name string
		if name, last, err = parseToken(r.Token, r.Prefix); err != nil {
			return nil, "", err
		}
		if l = s.listings.find(name); l != nil && l.prefix == r.Prefix {
			return l, last, nil
		}
	}
	keys, place, err := s.keysOf(ctx, r.Prefix)
	return &listing{name: rand.Text(), prefix: r.Prefix, keys: keys, place: place}, last, err
}

// keysOf returns the keys with a prefix, in order, and a position in the history
// before the time at which they were read. Some of them may have been deleted
// recently.
func (s *store) keysOf(ctx context.Context, prefix string) (keys []string, place uint64, err error) {
	filter := s.keys + prefixFilter(prefix)
	for seen, first := 0, true; ; first = false {
		var info streamInfo
		request := map[string]any{"subjects_filter": filter, "offset": seen}
		if err := s.p.callAPI(ctx, "STREAM.INFO."+s.stream, request, &info, false); err != nil {
			return nil, 0, err
		}
		if info.epoch() != s.epoch {
			return nil, 0, s.errDeleted()
		}
		if first {
			place = info.State.Last
		}
		for subject := range info.State.Subjects {
			key, err := subjectKey(strings.TrimPrefix(subject, s.keys))
			if err != nil {
				return nil, 0, fairlead.Errorf(fairlead.Internal, "%w", err)
			}
			if strings.HasPrefix(key, prefix) {
				keys = append(keys, key)
			}
		}
		if seen += len(info.State.Subjects); seen >= info.Total || len(info.State.Subjects) == 0 {
			sort.Strings(keys)
			return keys, place, nil
		}
	}
}

// readEntries reads the values of keys, and leaves out keys that do not exist.
func (s *store) readEntries(ctx context.Context, keys []string) ([]driver.Entry, error) {
	ops := make([]driver.Op, len(keys))
	for i, key := range keys {
		ops[i] = driver.Op{Kind: driver.OpGet, Key: key}
	}
	entries := make([]driver.Entry, 0, len(keys))
	for i, r := range s.Do(ctx, ops) {
		switch fairlead.CodeOf(r.Err) {
		case 0:
			entries = append(entries, driver.Entry{Key: keys[i], Value: r.Value, Revision: r.Revision})
		case fairlead.NotFound:
		default:
			return nil, r.Err
		}
	}
	return entries, nil
}
