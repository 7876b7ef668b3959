package kv

import (
	"context"
	"iter"

	"fairlead.dev"
	"fairlead.dev/kv/driver"
)

// longestPage is the number of entries that a driver is asked for at most, so that it
// can reserve memory for them.
const longestPage = 10_000

// pageSize is the number of entries for which List asks at a time.
const pageSize = 500

// Page is a part of a listing.
type Page struct {
	Entries []Entry // in ascending order of the keys' bytes
	// Token names the next page. It is empty after the last page.
	Token string
	// Revision is a place in the history at or before the moment of the first
	// page: a watch [After] it misses nothing that the listing does not show.
	// It is empty if [Watch] is not claimed.
	Revision Revision
}

// List yields the entries whose keys start with prefix, or all for "", in
// ascending order of the keys' bytes. No key comes twice. A key that exists
// during the whole listing is not left out. Where [SnapshotList] is claimed,
// the listing shows one moment. An error is yielded last. It needs the claim
// [List].
func (s *Store) List(ctx context.Context, prefix string) iter.Seq2[Entry, error] {
	return func(yield func(Entry, error) bool) {
		for token := ""; ; {
			page, err := s.readPage(ctx, driver.ListRequest{Prefix: prefix, Token: token, Limit: pageSize})
			if err != nil {
				yield(Entry{}, err)
				return
			}
			for _, e := range page.Entries {
				if !yield(entryOf(e), nil) {
					return
				}
			}
			if token = page.Token; token == "" {
				return
			}
		}
	}
}

// ListPage returns at most limit entries of the page that token names, or of
// the first page for "". A page has at most 10,000 entries, and one that is not the
// last may hold fewer than limit. It needs the claim [List].
//
// Errors: Invalid for a limit below 1, or for a token that no page of this
// store had; Compacted if the moment that the token names is no longer kept.
func (s *Store) ListPage(ctx context.Context, prefix, token string, limit int) (Page, error) {
	page, err := s.readPage(ctx, driver.ListRequest{Prefix: prefix, Token: token, Limit: min(limit, longestPage)})
	if err != nil {
		return Page{}, err
	}
	entries := make([]Entry, len(page.Entries))
	for i, e := range page.Entries {
		entries[i] = entryOf(e)
	}
	return Page{Entries: entries, Token: page.Token, Revision: Revision(page.Revision)}, nil
}

func (s *Store) readPage(ctx context.Context, r driver.ListRequest) (driver.Page, error) {
	ctx, call := s.telemetry.list.Start(ctx)
	if err := s.validateListing(r); err != nil {
		return driver.Page{}, call.End(err)
	}
	page, err := s.driver.List(ctx, r)
	return page, call.End(err)
}

func (s *Store) validateListing(r driver.ListRequest) error {
	if err := s.checkUsable(); err != nil {
		return err
	}
	if err := s.handle.CheckClaim(List); err != nil {
		return err
	}
	if r.Limit < 1 {
		return fairlead.Errorf(fairlead.Invalid, "the limit is %d; ask for at least 1 entry", r.Limit)
	}
	return validateUTF8("prefix", r.Prefix)
}
