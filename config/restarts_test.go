package config_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"fairlead.dev/config"
	"fairlead.dev/internal/dev/testbed"
	_ "fairlead.dev/providers/etcd"
	_ "fairlead.dev/providers/nats"
)

// ledger can show that all of it is of one version: Sum is a checksum of the other
// fields.
type ledger struct {
	Version int
	Cells   map[string]int
	Sum     int
}

func (l *ledger) sum() int {
	total := l.Version
	for name, v := range l.Cells {
		n, _ := strconv.Atoi(name)
		total += (n + 1) * v
	}
	return total
}

// Validate does not check the sum, so that readers would see a mix of versions.
func (l *ledger) Validate() error {
	if l.Version < 0 {
		return errors.New("the version is negative")
	}
	return nil
}

func (l *ledger) values() map[string]string {
	m := map[string]string{"version": strconv.Itoa(l.Version), "sum": strconv.Itoa(l.sum())}
	for name, v := range l.Cells {
		m["cells/"+name] = strconv.Itoa(v)
	}
	return m
}

// vary makes the next version: it changes or deletes a few cells.
func (l *ledger) vary() {
	l.Version++
	for range 1 + rand.IntN(6) {
		name := strconv.Itoa(rand.IntN(20))
		if l.Cells[name] = rand.IntN(1000); rand.IntN(5) == 0 {
			delete(l.Cells, name)
		}
	}
}

// spoil makes values invalid in one of four ways.
func spoil(values map[string]string) {
	switch rand.IntN(4) {
	case 0:
		values["cells/"+strconv.Itoa(rand.IntN(20))] = "x"
	case 1:
		values["sum"] = ""
	case 2:
		values["no-such-field"] = "1"
	default:
		values["version"] = "-" + values["version"]
	}
}

// bookkeeper writes versions into a store that is not always available.
type bookkeeper struct {
	source  *config.Source
	stored  map[string]string
	retries int
}

// write makes the store hold these values, in one Set.
func (b *bookkeeper) write(t *testing.T, values map[string]string) {
	var changes []config.Change
	for key := range b.stored {
		if _, stays := values[key]; !stays {
			changes = append(changes, config.Delete(key))
		}
	}
	for key, v := range values {
		if old, there := b.stored[key]; !there || old != v {
			changes = append(changes, put(key, v))
		}
	}
	for end := time.Now().Add(patience); ; b.retries++ {
		if err := b.try(t, changes); err == nil {
			b.stored = values
			return
		} else if time.Now().After(end) {
			t.Fatalf("no Set within %v: %v", patience, err)
		}
		time.Sleep(time.Millisecond)
	}
}

// try makes the changes. It may be repeated after any error, because there is no
// other writer.
func (b *bookkeeper) try(t *testing.T, changes []config.Change) error {
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
	defer cancel()
	_, err := b.source.Set(ctx, changes...)
	return err
}

type restartable interface {
	Kill(context.Context) error
	Start(context.Context) error
}

// restarting kills and starts a server repeatedly, until the function that it
// returns is called or the test ends. count is the number of restarts. The server
// runs for a second each time, however long it takes to start.
func restarting(t *testing.T, server restartable) (count *atomic.Int64, stop func()) {
	ended, count := make(chan struct{}), &atomic.Int64{}
	var running sync.WaitGroup
	running.Go(func() {
		for ; ; count.Add(1) {
			select {
			case <-time.After(time.Second):
			case <-ended:
				return
			}
			ctx := context.WithoutCancel(t.Context())
			if err := errors.Join(server.Kill(ctx), server.Start(ctx)); err != nil {
				t.Errorf("restarting the server: %v", err)
			}
		}
	})
	stop = sync.OnceFunc(func() {
		close(ended)
		running.Wait()
	})
	t.Cleanup(stop)
	return count, stop
}

// reading starts four readers that check every state that they see, until the
// function that it returns is called or the test ends.
func reading(t *testing.T, w *config.Watcher[ledger]) (stop func()) {
	done := make(chan struct{})
	var readers sync.WaitGroup
	for range 4 {
		readers.Go(func() { readLedgers(t, w, done) })
	}
	stop = sync.OnceFunc(func() {
		close(done)
		readers.Wait()
	})
	t.Cleanup(stop)
	return stop
}

// readLedgers checks every state that a reader sees until done is closed.
func readLedgers(t *testing.T, w *config.Watcher[ledger], done <-chan struct{}) {
	for before := 0; ; time.Sleep(200 * time.Microsecond) {
		select {
		case <-done:
			return
		default:
		}
		l := w.Get()
		if l.Sum != l.sum() || l.Version < before {
			t.Errorf("a mix of versions, or an older version: %+v after version %d", *l, before)
			return
		}
		before = l.Version
	}
}

// 10,000 updates of several keys are made, a tenth of them invalid, while the
// server is killed every second. No reader sees a mix of versions, an older
// version after a newer one, or an invalid state. Every version that the test
// waits for is reached, including the last one.
func TestUpdatesWhileRedisRestarts(t *testing.T) {
	server := testbed.Redis(t)
	updatesWhileRestarting(t, server.URL(), server, true, 10_000)
}

func TestUpdatesWhileEtcdRestarts(t *testing.T) {
	server := testbed.Etcd(t)
	updatesWhileRestarting(t, server.URL(), server, true, 1000)
}

// NATS does not claim Snapshot, so readers may see a mix of versions. Every version
// that the test waits for is reached nevertheless.
func TestUpdatesWhileNATSRestarts(t *testing.T) {
	server := testbed.NATS(t)
	updatesWhileRestarting(t, server.URL(), server, false, 500)
}

func updatesWhileRestarting(t *testing.T, url string, server restartable, snapshot bool, updates int) {
	p := open(t, url)
	keeper := bookkeeper{source: openSource(t, p, config.Require(config.AtomicSet)), stored: map[string]string{}}
	model := ledger{Cells: map[string]int{}}
	w := watch[ledger](t, config.From(p, "app"), config.Strict())
	if claimed := keeper.source.Describe().Has(config.Snapshot); claimed != snapshot {
		t.Fatalf("Snapshot is claimed: %v, want %v", claimed, snapshot)
	}
	readersEnd := func() {}
	if snapshot {
		readersEnd = reading(t, w)
	}
	start, invalid := time.Now(), 0
	restarts, stop := restarting(t, server)
	made := 0
	for ; made < updates || restarts.Load() < 2; made++ {
		if t.Failed() {
			return
		}
		if rand.IntN(10) == 0 {
			keeper.write(t, model.spoilt())
			invalid++
			continue
		}
		model.vary()
		keeper.write(t, model.values())
		if rand.IntN(20) == 0 {
			model.awaitIn(t, w)
		}
	}
	model.vary()
	keeper.write(t, model.values())
	model.awaitIn(t, w)
	stop()
	eventually(t, "health", func() bool { return w.Err() == nil }, func() any { return w.Err() })
	readersEnd()
	h := w.Health()
	t.Logf("%d updates (%d invalid) in %v, %d restarts, %d Sets tried again; %d applied, %d rejected",
		made, invalid, time.Since(start).Round(time.Millisecond), restarts.Load(), keeper.retries, h.Applied, h.Rejected)
	if keeper.retries == 0 || h.Rejected < uint64(invalid)/10 || h.Applied < uint64(made)/10 {
		t.Error("too few retries, rejections or updates for the test to show anything")
	}
}

// spoilt returns the values of an invalid next version.
func (l *ledger) spoilt() map[string]string {
	bad := ledger{Version: l.Version, Cells: maps.Clone(l.Cells)}
	bad.vary()
	values := bad.values()
	spoil(values)
	return values
}

// awaitIn waits until a watcher has exactly this version.
func (l *ledger) awaitIn(t *testing.T, w *config.Watcher[ledger]) {
	t.Helper()
	eventually(t, fmt.Sprintf("version %d", l.Version), func() bool { return maps.Equal(w.Get().values(), l.values()) && w.Get().Sum == l.sum() },
		func() any { return fmt.Sprintf("%+v, %+v", *w.Get(), w.Health()) })
}
