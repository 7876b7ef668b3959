package nats

import (
	"context"
	"encoding/json"
	"strconv"
	"strings"
	"sync"
	"time"

	"fairlead.dev"
	kvdriver "fairlead.dev/kv/driver"
)

const (
	kindLanes = "psk"
	formLanes = "psk1"
	// laneRetry is the delay of a message that could not be handled.
	laneRetry = 100 * time.Millisecond
	// lanesAtOnce is how many lanes one Receive looks at side by side.
	lanesAtOnce = 32
	// sweepEvery is how often a subscription drops records that say nothing.
	sweepEvery = time.Minute
)

// laneBook holds the records of the lanes of one group.
type laneBook interface {
	// read returns the record of a lane, and an empty revision if there is none.
	read(ctx context.Context, lane string) (r laneRecord, revision string, err error)
	// write is Conflict unless the record has the revision; empty: there is none.
	write(ctx context.Context, lane string, r laneRecord, revision string) (string, error)
	// sweep drops the records of free lanes whose floor is not after floor.
	sweep(ctx context.Context, floor uint64) error
	close()
}

// idle reports whether this record says no more than a missing one, given the
// floor of the group's consumer.
func (r laneRecord) idle(floor uint64) bool { return r.Token == 0 && r.Floor <= floor }

// ownBook is the book of a broadcast, which shares its messages with no consumer.
type ownBook struct {
	mu      sync.Mutex
	last    uint64
	records map[string]ownRecord
}

type ownRecord struct {
	laneRecord
	revision string
}

func newOwnBook() *ownBook { return &ownBook{records: map[string]ownRecord{}} }

func (b *ownBook) read(_ context.Context, lane string) (laneRecord, string, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	r := b.records[lane]
	return r.laneRecord, r.revision, nil
}

func (b *ownBook) write(_ context.Context, lane string, r laneRecord, revision string) (string, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.records[lane].revision != revision {
		return "", conflict(lane)
	}
	b.last++
	n := ownRecord{r, strconv.FormatUint(b.last, 36)}
	b.records[lane] = n
	return n.revision, nil
}

func (b *ownBook) sweep(_ context.Context, floor uint64) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	for lane, r := range b.records {
		if r.idle(floor) {
			delete(b.records, lane)
		}
	}
	return nil
}

func (b *ownBook) close() {}

// sharedBook is the book of a group, which its consumers share. It is a store of
// the kv facet, except for its name, {prefix}-psk-{topic}. It is opened, and
// created if need be, with the first message that has a key.
type sharedBook struct {
	p      *provider
	topic  string
	prefix string // of the records of the group as it was created last

	mu    sync.Mutex
	store *store // nil: not open
}

func (b *sharedBook) open(ctx context.Context) (*store, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.store != nil {
		return b.store, nil
	}
	var err error
	b.store, err = b.p.openStore(ctx, kindLanes, b.topic, formLanes)
	return b.store, err
}

func (b *sharedBook) do(ctx context.Context, op kvdriver.Op) kvdriver.Result {
	s, err := b.open(ctx)
	if err != nil {
		return kvdriver.Result{Err: err}
	}
	op.Key = b.prefix + op.Key
	r := s.Do(ctx, []kvdriver.Op{op})[0]
	if fairlead.CodeOf(r.Err) == fairlead.Unavailable {
		b.forget(s) // it may have been deleted with the topic
	}
	return r
}

func (b *sharedBook) forget(s *store) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if s != nil && b.store == s {
		_ = s.Close(s.life.Context()) // never fails
		b.store = nil
	}
}

func (b *sharedBook) close() {
	b.mu.Lock()
	s := b.store
	b.mu.Unlock()
	b.forget(s)
}

func (b *sharedBook) read(ctx context.Context, lane string) (laneRecord, string, error) {
	r := b.do(ctx, kvdriver.Op{Kind: kvdriver.OpGet, Key: lane})
	if fairlead.CodeOf(r.Err) == fairlead.NotFound {
		return laneRecord{}, "", nil
	}
	if r.Err != nil {
		return laneRecord{}, "", r.Err
	}
	record, err := parseLane(r.Value)
	return record, string(r.Revision), err
}

func parseLane(value []byte) (r laneRecord, err error) {
	if err := json.Unmarshal(value, &r); err != nil {
		return r, fairlead.Errorf(fairlead.Internal, "the record of an ordering key cannot be read: %w", err)
	}
	return r, nil
}

func (b *sharedBook) write(ctx context.Context, lane string, r laneRecord, revision string) (string, error) {
	value, err := json.Marshal(r)
	if err != nil {
		return "", fairlead.Errorf(fairlead.Internal, "%w", err)
	}
	op := kvdriver.Op{Kind: kvdriver.OpCAS, Key: lane, Value: value, Revision: kvdriver.Revision(revision)}
	if revision == "" {
		op.Kind = kvdriver.OpCreate
	}
	done := b.do(ctx, op)
	return string(done.Revision), done.Err
}

func (b *sharedBook) sweep(ctx context.Context, floor uint64) error {
	b.mu.Lock()
	s := b.store
	b.mu.Unlock()
	if s == nil {
		return nil
	}
	for token := ""; ; {
		page, err := s.List(ctx, kvdriver.ListRequest{Prefix: b.prefix, Token: token, Limit: pageEntries})
		if err != nil {
			return err
		}
		var drop []kvdriver.Op
		for _, e := range page.Entries {
			if r, err := parseLane(e.Value); err == nil && r.idle(floor) {
				drop = append(drop, kvdriver.Op{Kind: kvdriver.OpDeleteIf, Key: e.Key, Revision: e.Revision})
			}
		}
		s.Do(ctx, drop) // a record that has changed stays
		if token = page.Token; token == "" {
			return nil
		}
	}
}

// sweepLanes drops the records of a subscription that say nothing.
func (s *subscription) sweepLanes(ctx context.Context) error {
	if time.Since(s.swept) < sweepEvery {
		return nil
	}
	s.swept = time.Now()
	info, err := s.p.consumerInfo(ctx, s.stream, s.consumer)
	if err != nil {
		return err
	}
	return s.book().sweep(ctx, info.Acked.Stream)
}

// deleteLanes drops the records of a group.
func (p *provider) deleteLanes(ctx context.Context, topic, group string) error {
	name := p.streamName(kindLanes, topic)
	info, err := p.streamInfo(ctx, name)
	if isAPI(err, codeStreamNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	keys := strings.TrimSuffix(info.Config.Subjects[0], ">") + "k."
	filter := map[string]string{"filter": keys + prefixFilter(groupConsumer(group)+"/")}
	return p.callAPI(ctx, "STREAM.PURGE."+name, filter, nil, true)
}
