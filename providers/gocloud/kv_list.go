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

// List implements the kv driver's Store. A token is the last key of its page,
// behind a mark that no key of a stranger's token would have by chance.
func (s *store) List(ctx context.Context, r driver.ListRequest) (driver.Page, error) {
	last, ok := strings.CutPrefix(r.Token, "after:")
	if r.Token != "" && (!ok || !strings.HasPrefix(last, r.Prefix)) {
		return driver.Page{}, fairlead.Errorf(fairlead.Invalid, "the page token %q is not one of this listing; pass the one that the page before returned", r.Token)
	}
	var page driver.Page
	err := s.life.call(ctx, func(ctx context.Context) error {
		got, err := s.page(ctx, r, last)
		if err == nil {
			page = got
		}
		return err
	})
	return page, failed(openFailed(err))
}

// page reads documents until it has enough or the prefix ends.
func (s *store) page(ctx context.Context, r driver.ListRequest, after string) (driver.Page, error) {
	it := s.from(r, after).Get(ctx)
	defer it.Stop()
	var page driver.Page
	read, last := 0, ""
	for {
		var d document
		err := it.Next(ctx, &d)
		switch {
		case errors.Is(err, io.EOF):
			if read == r.Limit {
				page.Token = "after:" + last
			}
			return page, nil
		case err != nil:
			return driver.Page{}, err
		case !strings.HasPrefix(d.Key, r.Prefix):
			return page, nil
		}
		read, last = read+1, d.Key
		if err := s.add(&page, d); err != nil {
			return driver.Page{}, err
		}
	}
}

func (s *store) add(page *driver.Page, d document) error {
	if d.Deleted {
		return nil
	}
	rev, err := s.coll.RevisionToString(d.DocstoreRevision)
	if err != nil {
		return fairlead.Errorf(fairlead.Internal, "a document has no revision; it was not written by Fairlead: %w", err)
	}
	page.Entries = append(page.Entries, driver.Entry{Key: d.Key, Value: clone(d.Value), Revision: driver.Revision(rev)})
	return nil
}

// from is a query for a page.
func (s *store) from(r driver.ListRequest, after string) *docstore.Query {
	op, key := ">=", r.Prefix
	if r.Token != "" {
		op, key = ">", after
	}
	return s.coll.Query().Where(KeyField, op, key).OrderBy(KeyField, docstore.Ascending).Limit(r.Limit)
}
