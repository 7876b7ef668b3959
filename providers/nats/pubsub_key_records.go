package nats

import (
	"context"
	"encoding/json"
	"strconv"
	"strings"
	"sync"
	"time"

	"fairlead.dev"
)

const (
	kindRecords = "psk"
	formRecords = "psk1"
	// keyRetry is the delay of a message that could not be handled.
	keyRetry = 100 * time.Millisecond
	// keysAtOnce is how many keys one Receive looks at side by side.
	keysAtOnce = 32
	// sweepEvery is how often a subscription drops records that say nothing.
	sweepEvery = time.Minute
)

// keyRecords holds the records of the keys of one group.
type keyRecords interface {
	// read returns the record of a hash, and its version.
	read(ctx context.Context, hash string) (r keyRecord, v recordVersion, err error)
	// write is Conflict unless the record still has the version that read returned.
	write(ctx context.Context, hash string, r keyRecord, v recordVersion) (recordVersion, error)
	// sweep drops the records of free keys whose floor is not after floor.
	sweep(ctx context.Context, floor uint64) error
	close()
}

// recordVersion is the version of a record, or of a record that does not exist.
type recordVersion struct {
	revision string // empty: there is no record
	layer    *store // that has the record
	layers   layers // in which it was looked for
	damaged  bool   // the record cannot be read
}

// exists reports whether there is a record that can be read.
func (v recordVersion) exists() bool { return v.revision != "" && !v.damaged }

// idle reports whether this record says no more than a missing one, given the
// floor of the group's consumer.
func (r keyRecord) idle(floor uint64) bool { return r.Token == 0 && r.Floor <= floor }

// localRecords is the records of a broadcast, which shares its messages with no consumer.
type localRecords struct {
	mu      sync.Mutex
	last    uint64
	records map[string]localRecord
}

type localRecord struct {
	keyRecord
	revision string
}

func newLocalRecords() *localRecords { return &localRecords{records: map[string]localRecord{}} }

func (b *localRecords) read(_ context.Context, hash string) (keyRecord, recordVersion, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	r := b.records[hash]
	return r.keyRecord, recordVersion{revision: r.revision}, nil
}

func (b *localRecords) write(_ context.Context, hash string, r keyRecord, v recordVersion) (recordVersion, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.records[hash].revision != v.revision {
		return v, conflict(hash)
	}
	b.last++
	n := localRecord{r, strconv.FormatUint(b.last, 36)}
	b.records[hash] = n
	return recordVersion{revision: n.revision}, nil
}

func (b *localRecords) sweep(_ context.Context, floor uint64) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	for hash, r := range b.records {
		if r.idle(floor) {
			delete(b.records, hash)
		}
	}
	return nil
}

func (b *localRecords) close() {}

func parseKeyRecord(value []byte) (r keyRecord, err error) {
	if err := json.Unmarshal(value, &r); err != nil {
		return r, fairlead.Errorf(fairlead.Internal, "the record of an ordering key cannot be read: %w", err)
	}
	return r, nil
}

// sweepRecords drops the records of a subscription that say nothing.
func (s *subscription) sweepRecords(ctx context.Context) error {
	if time.Since(s.swept) < sweepEvery {
		return nil
	}
	s.swept = time.Now()
	info, err := s.p.consumerInfo(ctx, s.stream, s.consumer)
	if err != nil {
		return err
	}
	return s.records().sweep(ctx, info.Acked.Stream)
}

// deleteRecords drops the records of a group.
func (p *provider) deleteRecords(ctx context.Context, topic, group string) error {
	found, err := p.layerStreams(ctx, topic)
	if err != nil {
		return err
	}
	for _, l := range found {
		keys := strings.TrimSuffix(l.Config.Subjects[0], ">") + "k."
		filter := map[string]string{"filter": keys + prefixFilter(groupConsumer(group)+"/")}
		err := p.callAPI(ctx, "STREAM.PURGE."+l.Config.Name, filter, nil, true)
		if err != nil && !isAPI(err, codeStreamNotFound) {
			return err
		}
	}
	return nil
}
