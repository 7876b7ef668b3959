package redis

import (
	"context"
	"strings"

	"fairlead.dev"
	"fairlead.dev/kv/driver"
)

const (
	pageEntries = 1000
	pageBytes   = 4 << 20
	// tokenMark starts the tokens of pages; the last key of the page follows.
	tokenMark = "after:"
)

// List implements the kv driver's Store.
func (s *store) List(ctx context.Context, r driver.ListRequest) (driver.Page, error) {
	if err := s.closed(); err != nil {
		return driver.Page{}, err
	}
	if err := checkToken(r); err != nil {
		return driver.Page{}, err
	}
	var first driver.Page
	for {
		page, err := s.page(ctx, r)
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
		r.Token = page.Token // everything on it had just expired
	}
}

func checkToken(r driver.ListRequest) error {
	last, ok := strings.CutPrefix(r.Token, tokenMark)
	if r.Token == "" || ok && last != "" && strings.HasPrefix(last, r.Prefix) {
		return nil
	}
	return invalid("the page token is not one of a listing with the prefix %q", r.Prefix)
}

func (s *store) page(ctx context.Context, r driver.ListRequest) (driver.Page, error) {
	lower, upper := bounds(r.Prefix)
	wantRevision := 1
	if r.Token != "" {
		lower, wantRevision = "("+strings.TrimPrefix(r.Token, tokenMark), 0
	}
	cmd := kvList.call(ctx, []string{s.log, s.index}, lower, upper,
		min(r.Limit, pageEntries), pageBytes, s.slots, wantRevision)
	if err := s.p.read(ctx, s.log, cmd); err != nil {
		return driver.Page{}, err
	}
	answer, err := cmd.Slice()
	if err != nil {
		return driver.Page{}, unexpected(err)
	}
	return parsePage(answer)
}

// bounds are those of all keys with a prefix, as ZRANGEBYLEX takes them.
func bounds(prefix string) (lower, upper string) {
	lower, upper = "["+prefix, "+"
	for i := len(prefix) - 1; i >= 0; i-- {
		if prefix[i] < 0xff {
			return lower, "(" + prefix[:i] + string([]byte{prefix[i] + 1})
		}
	}
	return lower, upper
}

func parsePage(answer []any) (page driver.Page, err error) {
	if len(answer) != 3 {
		return page, unexpected(answer)
	}
	rev, _ := answer[0].(string)
	last, _ := answer[1].(string)
	list, _ := answer[2].([]any)
	page.Revision = driver.Revision(rev)
	if last != "" {
		page.Token = tokenMark + last
	}
	for i := 0; i+1 < len(list); i += 2 {
		key, isKey := list[i].(string)
		text, isText := list[i+1].(string)
		if !isKey || !isText {
			return driver.Page{}, fairlead.Errorf(fairlead.Internal, "unexpected answer of the server to a listing")
		}
		e := driver.Entry{Key: key}
		if e.Value, e.Revision, err = kept(text); err != nil {
			return driver.Page{}, err
		}
		page.Entries = append(page.Entries, e)
	}
	return page, nil
}
