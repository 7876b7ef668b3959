package kv

import (
	"context"
	"iter"

	"fairlead.dev"
	"fairlead.dev/kv/driver"
)

// pageSize is how many entries List asks for at a time.
const pageSize = 500

// Page is a part of a listing.
type Page struct {
	Entries []Entry // in ascending order of the keys' bytes
	// Token is for the next page, and empty after the last.
	Token string
	// Revision is a place in the history at or before the moment of the first
	// page: a watch [After] it misses nothing. Empty if [Watch] is not
	// claimed.
	Revision Revision
}

// List yields the entries whose keys start with prefix, all for "", in
// ascending order of the keys' bytes. No key comes twice; a key that exists
// during the whole listing is not left out. Where [SnapshotList] is claimed
// the listing shows one moment. An error is yielded last. It needs the claim
// [List].
func (s *Store) List(ctx context.Context, prefix string) iter.Seq2[Entry, error] {
	return func(yield func(Entry, error) bool) {
		for token := ""; ; {
			page, err := s.ListPage(ctx, prefix, token, pageSize)
			if err != nil {
				yield(Entry{}, err)
				return
			}
			for _, e := range page.Entries {
				if !yield(e, nil) {
					return
				}
			}
			if token = page.Token; token == "" {
				return
			}
		}
	}
}

// ListPage returns at most limit entries, from the page that token names: ""
// for the first. A page may hold fewer entries than limit and not be the
// last. It needs the claim [List].
//
// Errors: Invalid for a limit below 1 or a token that is not one; Compacted
// if the moment that the token names is no longer kept.
func (s *Store) ListPage(ctx context.Context, prefix, token string, limit int) (Page, error) {
	ctx, call := s.ops.list.Start(ctx)
	page, err := s.listPage(ctx, driver.ListRequest{Prefix: prefix, Token: token, Limit: limit})
	return Page(page), call.End(err)
}

func (s *Store) listPage(ctx context.Context, r driver.ListRequest) (driver.Page, error) {
	if err := s.ready(); err != nil {
		return driver.Page{}, err
	}
	if err := s.handle.Needs(List); err != nil {
		return driver.Page{}, err
	}
	if r.Limit < 1 {
		return driver.Page{}, fairlead.Errorf(fairlead.Invalid, "the limit is %d; ask for at least 1 entry", r.Limit)
	}
	if err := checkUTF8("prefix", r.Prefix); err != nil {
		return driver.Page{}, err
	}
	return s.driver.List(ctx, r)
}
