package redis

import (
	"context"
	"strings"

	"fairlead.dev"
	"fairlead.dev/kv/driver"
)

const (
	maxPageEntries = 1000
	maxPageBytes   = 4 << 20
	// pageTokenPrefix starts a page's token. The last key of the page follows.
	pageTokenPrefix = "after:"
)

// List implements the kv driver's Store.
func (s *store) List(ctx context.Context, r driver.ListRequest) (driver.Page, error) {
	if err := s.life.Err(); err != nil {
		return driver.Page{}, err
	}
	if err := checkPageToken(r); err != nil {
		return driver.Page{}, err
	}
	var first driver.Page
	for {
		page, err := s.fetchPage(ctx, r)
		if err != nil {
			return driver.Page{}, err
		}
		if r.Token == "" || first.Revision == "" {
			first.Revision = page.Revision
		}
		if len(page.Entries) > 0 || page.Token == "" {
			page.Revision = first.Revision
			return page, nil
		}
		r.Token = page.Token // all its entries had just expired
	}
}

func checkPageToken(r driver.ListRequest) error {
	last, ok := strings.CutPrefix(r.Token, pageTokenPrefix)
	if r.Token == "" || ok && last != "" && strings.HasPrefix(last, r.Prefix) {
		return nil
	}
	return invalidf("the page token is not from a listing with the prefix %q", r.Prefix)
}

func (s *store) fetchPage(ctx context.Context, r driver.ListRequest) (driver.Page, error) {
	lower, upper := prefixRange(r.Prefix)
	wantRevision := 1
	if r.Token != "" {
		lower, wantRevision = "("+strings.TrimPrefix(r.Token, pageTokenPrefix), 0
	}
	reply, err := s.p.query(ctx, s.keys.log, kvList.command(ctx, []string{s.keys.log, s.keys.index}, lower, upper,
		max(1, min(r.Limit, maxPageEntries)), maxPageBytes, s.keys.valuePrefix, wantRevision))
	if err != nil {
		return driver.Page{}, err
	}
	return parsePage(asList(reply))
}

// prefixRange returns the bounds of all keys with a prefix, as ZRANGEBYLEX
// takes them.
func prefixRange(prefix string) (lower, upper string) {
	lower, upper = "["+prefix, "+"
	for i := len(prefix) - 1; i >= 0; i-- {
		if prefix[i] < 0xff {
			return lower, "(" + prefix[:i] + string([]byte{prefix[i] + 1})
		}
	}
	return lower, upper
}

func parsePage(reply []any) (page driver.Page, err error) {
	if len(reply) != 3 {
		return page, unexpectedReply(reply)
	}
	page.Revision = driver.Revision(asText(reply[0]))
	if last := asText(reply[1]); last != "" {
		page.Token = pageTokenPrefix + last
	}
	pairs := asList(reply[2])
	for i := 0; i+1 < len(pairs); i += 2 {
		e := driver.Entry{Key: asText(pairs[i])}
		if e.Value, e.Revision, err = parseKept(asText(pairs[i+1])); err != nil {
			return driver.Page{}, fairlead.Errorf(fairlead.CodeOf(err), "the key %q: %w", e.Key, err)
		}
		page.Entries = append(page.Entries, e)
	}
	return page, nil
}
