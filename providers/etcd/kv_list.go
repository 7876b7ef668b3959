package etcd

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"go.etcd.io/etcd/api/v3/mvccpb"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"

	"fairlead.dev"
	"fairlead.dev/kv/driver"
)

const (
	listChunk = 128     // entries of the first request of a page
	listBytes = 4 << 20 // a page of this size gets no more entries
)

// place is where a listing continues. All its pages show one revision, and judge
// times to live at one time.
type place struct {
	revision int64 // 0: the present
	moment   time.Time
	from     []byte
}

func (pl place) token(last []byte) string {
	return fmt.Sprintf("%d.%d.%s", pl.revision, pl.moment.UnixMilli(), last)
}

// listPlace returns where the page of a request begins.
func (s *store) listPlace(r driver.ListRequest) (place, error) {
	if r.Token == "" {
		return place{moment: time.Now(), from: s.key(r.Prefix)}, nil
	}
	parts := strings.SplitN(r.Token, ".", 3)
	if len(parts) == 3 && strings.HasPrefix(parts[2], s.prefix+r.Prefix) {
		revision, err1 := strconv.ParseInt(parts[0], 10, 64)
		ms, err2 := strconv.ParseInt(parts[1], 10, 64)
		if err1 == nil && err2 == nil && revision > 0 {
			return place{revision, time.UnixMilli(ms), append([]byte(parts[2]), 0)}, nil
		}
	}
	return place{}, invalid("the page token is not one of this listing")
}

// List implements the kv driver's Store.
func (s *store) List(ctx context.Context, r driver.ListRequest) (driver.Page, error) {
	if err := s.life.Err(); err != nil {
		return driver.Page{}, err
	}
	at, err := s.listPlace(r)
	if err != nil {
		return driver.Page{}, err
	}
	var page driver.Page
	end := prefixEnd(s.prefix + r.Prefix)
	for chunk, bytes := listChunk, 0; len(page.Entries) < r.Limit && bytes < listBytes; chunk *= 4 {
		resp, err := s.p.readRange(ctx, &pb.RangeRequest{
			Key: at.from, RangeEnd: end, Revision: at.revision, Limit: int64(min(chunk, r.Limit-len(page.Entries))),
		})
		if err != nil {
			return driver.Page{}, err
		}
		if at.revision == 0 {
			at.revision = resp.Header.Revision
		}
		size, err := s.addEntries(ctx, &page, resp.Kvs, at.moment)
		if err != nil {
			return driver.Page{}, err
		}
		if bytes += size; size > listBytes/8 {
			chunk /= 4
		}
		page.Token = ""
		if !resp.More {
			break
		}
		last := resp.Kvs[len(resp.Kvs)-1].Key
		page.Token = at.token(last)
		at.from = append(last, 0)
	}
	page.Revision = formatRevision(at.revision)
	return page, nil
}

// addEntries adds the keys in kvs to a page, and returns the page's size. A key whose
// time to live had ended when the listing began is removed.
func (s *store) addEntries(ctx context.Context, page *driver.Page, kvs []*mvccpb.KeyValue, moment time.Time) (bytes int, err error) {
	for _, kv := range kvs {
		v, deadline := decodeValue(kv)
		if s.p.isExpired(deadline, moment) {
			if err := s.removeExpired(ctx, kv); err != nil {
				return 0, err
			}
			continue
		}
		bytes += len(kv.Key) + len(v)
		page.Entries = append(page.Entries, driver.Entry{Key: s.name(kv.Key), Value: v, Revision: formatRevision(kv.ModRevision)})
	}
	return bytes, nil
}

// checkHistory fails with Compacted if the cluster does not know a revision that
// it once gave.
func (s *store) checkHistory(ctx context.Context, revision int64) error {
	r, err := s.p.readRange(ctx, &pb.RangeRequest{Key: s.entry, KeysOnly: true})
	if err == nil && r.Header.Revision < revision {
		err = fairlead.Errorf(fairlead.Compacted, "the cluster is at revision %d and has lost its history up to %d", r.Header.Revision, revision)
	}
	return err
}
