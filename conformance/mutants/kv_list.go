package mutants

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"

	"fairlead.dev"
	"fairlead.dev/kv/driver"
)

// listing is a mutant that makes pages in another way.
func listing(name, breaks string, caughtBy []string, change func(ctx context.Context, s driver.Store, r driver.ListRequest) (driver.Page, error)) Mutant {
	return kvMutant(name, breaks, caughtBy, func(s driver.Store) store {
		return store{list: func(ctx context.Context, r driver.ListRequest) (driver.Page, error) { return change(ctx, s, r) }}
	})
}

// paging is a mutant that changes the pages of the memory provider.
func paging(name, breaks string, caughtBy []string, change func(driver.ListRequest, *driver.Page)) Mutant {
	return listing(name, breaks, caughtBy, func(ctx context.Context, s driver.Store, r driver.ListRequest) (driver.Page, error) {
		page, err := s.List(ctx, r)
		if err == nil {
			change(r, &page)
		}
		return page, err
	})
}

var kvListMutants = []Mutant{
	listing("list-prefix-cut", "the last character of a prefix is not looked at", cases("kv/list-prefix", "kv/list-boundary", "kv/list-literal", "kv/list-empty"), func(ctx context.Context, s driver.Store, r driver.ListRequest) (driver.Page, error) {
		if runes := []rune(r.Prefix); len(runes) > 0 {
			r.Prefix = string(runes[:len(runes)-1])
		}
		return s.List(ctx, r)
	}),
	paging("list-range-end", "keys whose first character after the prefix is the highest are left out", cases("kv/list-boundary"), func(r driver.ListRequest, page *driver.Page) {
		page.Entries = slices.DeleteFunc(page.Entries, func(e driver.Entry) bool { return e.Key >= r.Prefix+"\U0010ffff" })
	}),
	listing("list-pattern", "a star or question mark in a prefix is a pattern", cases("kv/list-literal"), func(ctx context.Context, s driver.Store, r driver.ListRequest) (driver.Page, error) {
		r.Prefix, _, _ = strings.Cut(strings.ReplaceAll(r.Prefix, "?", "*"), "*")
		return s.List(ctx, r)
	}),
	paging("list-unsorted", "the entries of a page come in no order", cases("kv/list-sorted", "kv/list-pages", "kv/list-iterator", "kv/list-prefix"), func(_ driver.ListRequest, page *driver.Page) {
		slices.Reverse(page.Entries)
	}),
	paging("list-folded", "entries are sorted as a reader would", cases("kv/list-sorted"), func(_ driver.ListRequest, page *driver.Page) {
		slices.SortStableFunc(page.Entries, func(a, b driver.Entry) int {
			return strings.Compare(strings.ToLower(a.Key), strings.ToLower(b.Key))
		})
	}),
	paging("list-capped", "there is no second page", cases("kv/list-sorted", "kv/list-pages", "kv/list-iterator", "kv/list-during-writes", "kv/snapshot-list"), func(_ driver.ListRequest, page *driver.Page) {
		page.Token = ""
	}),
	listing("list-page-1000", "a page has 1,000 entries, whatever limit was asked for", cases("kv/list-pages"), func(ctx context.Context, s driver.Store, r driver.ListRequest) (driver.Page, error) {
		r.Limit = 1000
		return s.List(ctx, r)
	}),
	paging("list-no-values", "entries come without values", cases("kv/list-entries", "kv/alias-list", "kv/list-pages"), func(_ driver.ListRequest, page *driver.Page) {
		for i := range page.Entries {
			page.Entries[i].Value = nil
		}
	}),
	paging("list-page-revision", "all entries have the revision of the page", cases("kv/list-entries", "kv/list-pages"), func(_ driver.ListRequest, page *driver.Page) {
		for i := range page.Entries {
			page.Entries[i].Revision = page.Revision
		}
	}),
	listing("list-empty-missing", "a listing of nothing is NotFound", cases("kv/list-empty"), func(ctx context.Context, s driver.Store, r driver.ListRequest) (driver.Page, error) {
		page, err := s.List(ctx, r)
		if err == nil && len(page.Entries) == 0 {
			err = fairlead.Errorf(fairlead.NotFound, "nothing there")
		}
		return page, err
	}),
	kvMutant("list-cached", "a listing that was made before is answered as before", cases("kv/list-deleted"), func(s driver.Store) store {
		var mu sync.Mutex
		before := map[driver.ListRequest]driver.Page{}
		return store{list: func(ctx context.Context, r driver.ListRequest) (page driver.Page, err error) {
			mu.Lock()
			defer mu.Unlock()
			page, ok := before[r]
			if !ok {
				page, err = s.List(ctx, r)
				before[r] = page
			}
			return page, err
		}}
	}),
	listing("list-any-token", "an invalid token starts from the beginning", cases("kv/list-refused"), func(ctx context.Context, s driver.Store, r driver.ListRequest) (driver.Page, error) {
		page, err := s.List(ctx, r)
		if fairlead.CodeOf(err) == fairlead.Invalid {
			r.Token = ""
			return s.List(ctx, r)
		}
		return page, err
	}),
	listing("list-by-offset", "the next page begins at a number of entries", cases("kv/list-during-writes", "kv/snapshot-list"), byOffset),
	listing("list-by-key", "the next page shows a later state", cases("kv/snapshot-list", "kv/snapshot-concurrent"), byKey),
	paging("list-4mb", "entries beyond 4 MiB in one page are left out", cases("kv/list-large"), func(_ driver.ListRequest, page *driver.Page) {
		size := 0
		page.Entries = slices.DeleteFunc(page.Entries, func(e driver.Entry) bool { size += len(e.Value); return size > 4<<20 })
	}),
	kvMutant("alias-list", "all listings give out one slice of a value", cases("kv/alias-list"), func(s driver.Store) store {
		same := oneSlice()
		return store{list: func(ctx context.Context, r driver.ListRequest) (driver.Page, error) {
			page, err := s.List(ctx, r)
			for i, e := range page.Entries {
				page.Entries[i].Value = same(e.Key, e.Revision, e.Value)
			}
			return page, err
		}}
	}),
	paging("list-no-revision", "a page has no revision", cases("kv/watch-after-page", "kv/watch-empty-page"), func(_ driver.ListRequest, page *driver.Page) {
		page.Revision = ""
	}),
	paging("list-first-revision", "the page of an empty store has no revision", cases("kv/watch-empty-page"), func(_ driver.ListRequest, page *driver.Page) {
		if len(page.Entries) == 0 {
			page.Revision = ""
		}
	}),
}

// byOffset makes pages whose token is the number of earlier entries.
func byOffset(ctx context.Context, s driver.Store, r driver.ListRequest) (driver.Page, error) {
	offset, _ := strconv.Atoi(r.Token)
	page, err := s.List(ctx, driver.ListRequest{Prefix: r.Prefix, Limit: offset + r.Limit})
	if err != nil {
		return page, err
	}
	page.Entries = page.Entries[min(offset, len(page.Entries)):]
	if page.Token != "" {
		page.Token = fmt.Sprint(offset + r.Limit)
	}
	return page, nil
}

// byKey makes pages of the present state whose token is the last key of the
// previous page.
func byKey(ctx context.Context, s driver.Store, r driver.ListRequest) (driver.Page, error) {
	page, err := s.List(ctx, driver.ListRequest{Prefix: r.Prefix, Limit: 10_000})
	if err != nil {
		return page, err
	}
	page.Entries = slices.DeleteFunc(page.Entries, func(e driver.Entry) bool { return e.Key <= r.Token && r.Token != "" })
	if page.Token = ""; len(page.Entries) > r.Limit {
		page.Entries = page.Entries[:r.Limit]
		page.Token = page.Entries[r.Limit-1].Key
	}
	return page, nil
}
