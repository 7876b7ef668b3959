package gocloud

import (
	"context"
	"errors"
	"io"
	"strings"

	"gocloud.dev/docstore"

	"fairlead.dev"
	"fairlead.dev/kv/driver"
)

// tokenPrefix distinguishes page tokens from other strings.
const tokenPrefix = "after:"

// List implements the kv driver's Store. A page token is tokenPrefix and the
// last key of the page.
func (s *store) List(ctx context.Context, r driver.ListRequest) (driver.Page, error) {
	last, ok := strings.CutPrefix(r.Token, tokenPrefix)
	if r.Token != "" && (!ok || !strings.HasPrefix(last, r.Prefix)) {
		return driver.Page{}, fairlead.Errorf(fairlead.Invalid, "the page token %q is not from this listing; pass Page.Token unchanged", r.Token)
	}
	var page driver.Page
	err := call(ctx, s.life, func(ctx context.Context) error {
		got, err := s.readPage(ctx, r, last)
		if err == nil {
			page = got
		}
		return err
	})
	return page, convertError(unwrapAbandoned(err))
}

// readPage reads documents until the page is full or the prefix ends.
func (s *store) readPage(ctx context.Context, r driver.ListRequest, after string) (driver.Page, error) {
	it := s.pageQuery(r, after).Get(ctx)
	defer it.Stop()
	var page driver.Page
	read, last := 0, ""
	for {
		var d document
		err := it.Next(ctx, &d)
		switch {
		case errors.Is(err, io.EOF):
			if read == r.Limit {
				page.Token = tokenPrefix + last
			}
			return page, nil
		case err != nil:
			return driver.Page{}, err
		case !strings.HasPrefix(d.Key, r.Prefix):
			return page, nil
		}
		read, last = read+1, d.Key
		if err := s.appendEntry(&page, d); err != nil {
			return driver.Page{}, err
		}
	}
}

// appendEntry adds a document to the page, unless it is marked as deleted.
func (s *store) appendEntry(page *driver.Page, d document) error {
	if d.Deleted {
		return nil
	}
	rev, err := s.coll.RevisionToString(d.DocstoreRevision)
	if err != nil {
		return fairlead.Errorf(fairlead.Internal, "a document has no revision; it was not written by Fairlead: %w", err)
	}
	page.Entries = append(page.Entries, driver.Entry{Key: d.Key, Value: copyBytes(d.Value), Revision: driver.Revision(rev)})
	return nil
}

// pageQuery returns the query for a page.
func (s *store) pageQuery(r driver.ListRequest, after string) *docstore.Query {
	op, key := ">=", r.Prefix
	if r.Token != "" {
		op, key = ">", after
	}
	return s.coll.Query().Where(KeyField, op, key).OrderBy(KeyField, docstore.Ascending).Limit(r.Limit)
}
