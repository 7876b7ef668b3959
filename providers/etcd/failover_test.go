package etcd_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"fairlead.dev/internal/testbed"
	"fairlead.dev/kv"
	"fairlead.dev/providers"
)

// The load of TestKilledLeadersLoseNothingAcknowledged: half of the writes are
// puts of new keys, half add one to a counter by CAS.
const (
	writers        = 16
	writesOfWriter = 1250
	leaderKills    = 5
	counters       = 4
)

// ledger is what the writers were told.
type ledger struct {
	mu                sync.Mutex
	puts              map[string]error
	added, maybeAdded [counters]int
	written           atomic.Int64
	failed            atomic.Int64
}

// TestKilledLeadersLoseNothingAcknowledged kills the leader of three members
// again and again during 20,000 writes, and watches them. Nothing that was
// acknowledged is lost, nothing that failed is there, each CAS counts once, and
// the watch misses no key.
func TestKilledLeadersLoseNothingAcknowledged(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	cluster := testbed.EtcdCluster(t, 3)
	s, err := kv.Open(ctx, open(t, cluster.URL()), "s", kv.Require(providers.DurableQuorum, kv.LinearizableRead))
	must(t, err)
	defer s.Close(context.Background())
	w, err := s.Watch(ctx, "put-")
	must(t, err)
	defer w.Close(context.Background())

	l := &ledger{puts: map[string]error{}}
	var group sync.WaitGroup
	for i := range writers {
		group.Go(func() { l.write(ctx, t, s, i) })
	}
	for n := range int64(leaderKills) {
		eventually(t, "more writes", func() bool { return l.written.Load() > (n+1)*writers*writesOfWriter/(leaderKills+2) })
		old, _, err := cluster.KillLeader(ctx)
		must(t, err)
		must(t, old.Start(ctx))
		must(t, cluster.WaitOK(ctx))
	}
	group.Wait()
	_, err = s.Put(ctx, "put-end", nil)
	must(t, err)
	if l.failed.Load() == 0 {
		t.Error("no write failed: the kills did nothing")
	}
	t.Logf("%d writes, %d of them failed or unknown", l.written.Load(), l.failed.Load())
	l.verifyPuts(ctx, t, s)
	l.verifyCounters(ctx, t, s)
	l.verifyWatch(ctx, t, w)
}

func (l *ledger) write(ctx context.Context, t *testing.T, s *kv.Store, writer int) {
	for n := range writesOfWriter {
		call, cancel := context.WithTimeout(ctx, 3*time.Second)
		var err error
		if n%2 == 0 {
			key := fmt.Sprintf("put-%02d-%04d", writer, n)
			_, err = s.Put(call, key, []byte(key))
			l.mu.Lock()
			l.puts[key] = err
			l.mu.Unlock()
		} else {
			err = l.add(call, s, (writer+n)%counters)
		}
		cancel()
		l.written.Add(1)
		switch providers.CodeOf(err) {
		case 0, providers.Conflict:
		case providers.UnknownOutcome, providers.Unavailable, providers.DeadlineExceeded:
			l.failed.Add(1)
			time.Sleep(10 * time.Millisecond) // an election takes a while; writes that fail at once prove little
		default:
			t.Errorf("a write: %v", err)
		}
	}
}

// add adds one to a counter, once.
func (l *ledger) add(ctx context.Context, s *kv.Store, counter int) error {
	key := fmt.Sprint("counter-", counter)
	e, err := s.Get(ctx, key)
	switch {
	case errors.Is(err, providers.NotFound):
		_, err = s.Create(ctx, key, []byte("1"))
	case err == nil:
		var n int
		if _, err := fmt.Sscan(string(e.Value), &n); err != nil {
			return err
		}
		_, err = s.CAS(ctx, key, fmt.Append(nil, n+1), e.Revision)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	switch providers.CodeOf(err) {
	case 0:
		l.added[counter]++
	case providers.UnknownOutcome:
		l.maybeAdded[counter]++
	}
	return err
}

func (l *ledger) verifyPuts(ctx context.Context, t *testing.T, s *kv.Store) {
	stored := map[string]bool{}
	for e, err := range s.List(ctx, "put-") {
		must(t, err)
		stored[e.Key] = true
	}
	for key, err := range l.puts {
		switch providers.CodeOf(err) {
		case 0:
			if !stored[key] {
				t.Errorf("%s was acknowledged and is lost", key)
			}
		case providers.UnknownOutcome:
		default:
			if stored[key] {
				t.Errorf("%s is there, and its put failed: %v", key, err)
			}
		}
	}
}

func (l *ledger) verifyCounters(ctx context.Context, t *testing.T, s *kv.Store) {
	for i := range counters {
		e, err := s.Get(ctx, fmt.Sprint("counter-", i))
		must(t, err)
		var n int
		if _, err := fmt.Sscan(string(e.Value), &n); err != nil {
			t.Fatal(err)
		}
		if n < l.added[i] || n > l.added[i]+l.maybeAdded[i] {
			t.Errorf("counter %d is %d; %d were acknowledged, %d are unknown", i, n, l.added[i], l.maybeAdded[i])
		}
	}
}

func (l *ledger) verifyWatch(ctx context.Context, t *testing.T, w *kv.Watcher) {
	seen := map[string]int{}
	for seen["put-end"] == 0 {
		events, err := w.Next(ctx)
		if errors.Is(err, providers.Unavailable) {
			continue
		}
		must(t, err)
		for _, e := range events {
			seen[e.Key]++
		}
	}
	for key, err := range l.puts {
		if n := seen[key]; n > 1 || n == 0 && err == nil {
			t.Errorf("the watch showed %s %d times, its put: %v", key, n, err)
		}
	}
}
