package failover

import (
	"context"
	"fmt"
	"maps"
	"math"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"

	"fairlead.dev"
	"fairlead.dev/internal/dev/check"
	"fairlead.dev/kv"
)

// checkTime is the most time for the search for an order.
const checkTime = time.Minute

// history records the clients' calls on the counters, and their results.
type history struct {
	began   time.Time
	applied atomic.Int64

	mu              sync.Mutex
	calls           []porcupine.Operation
	acked           [counters]map[int]bool // the values that acknowledged increments wrote
	maybe           [counters]int
	failed, unknown int
}

// call is a read, or an increment of what was read.
type call struct {
	counter int
	write   bool
	from    int // what the increment expects; 0: no value
}

// result is the outcome of a call.
type result struct {
	value    int // of a read
	conflict bool
	unknown  bool
}

func newHistory() *history {
	h := &history{began: time.Now()}
	for i := range h.acked {
		h.acked[i] = map[int]bool{}
	}
	return h
}

func key(counter int) string { return fmt.Sprint("counter", counter) }

// count reads counters, and increments them.
func (r *run) count(ctx context.Context, client int) {
	s, h := r.stores[client%len(r.stores)], r.history
	r.repeat(ctx, r.counted, func(ctx context.Context, n int) error {
		counter := (n*clients + client*7) % counters // clients sometimes use the same counter
		began := time.Since(h.began)
		e, value, err := read(ctx, s, counter)
		if err != nil {
			return err
		}
		h.record(client, began, call{counter: counter}, result{value: value})
		began = time.Since(h.began)
		err = increment(ctx, s, counter, value, e.Revision)
		h.recordIncrement(client, began, counter, value, err)
		return err
	})
}

// read returns 0 for a counter without a value.
func read(ctx context.Context, s *kv.Store, counter int) (e kv.Entry, value int, err error) {
	e, err = s.Get(ctx, key(counter))
	switch fairlead.CodeOf(err) {
	case 0:
		value, err = strconv.Atoi(string(e.Value))
	case fairlead.NotFound:
		err = nil
	}
	return e, value, err
}

func increment(ctx context.Context, s *kv.Store, counter, value int, rev kv.Revision) (err error) {
	next := strconv.AppendInt(nil, int64(value)+1, 10)
	if value == 0 {
		_, err = s.Create(ctx, key(counter), next)
	} else {
		_, err = s.CAS(ctx, key(counter), next, rev)
	}
	return err
}

func (h *history) record(client int, began time.Duration, in call, out result) {
	ended := time.Since(h.began)
	if out.unknown {
		ended = math.MaxInt64
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.calls = append(h.calls, porcupine.Operation{ClientId: client, Input: in, Call: int64(began), Output: out, Return: int64(ended)})
}

func (h *history) recordIncrement(client int, began time.Duration, counter, from int, err error) {
	code := fairlead.CodeOf(err)
	h.mu.Lock()
	switch code {
	case 0:
		h.applied.Add(1)
		h.acked[counter][from+1] = true
	case fairlead.UnknownOutcome:
		h.maybe[counter]++
		h.unknown++
	case fairlead.Conflict:
	default:
		h.failed++
	}
	h.mu.Unlock()
	switch code {
	case 0, fairlead.Conflict, fairlead.UnknownOutcome:
		h.record(client, began, call{counter: counter, write: true, from: from},
			result{conflict: code == fairlead.Conflict, unknown: code == fairlead.UnknownOutcome})
	}
}

// verify checks the history, the last states, and the events of the watcher.
func (h *history) verify(ctx context.Context, t testing.TB, s *kv.Store, w *kv.Watcher) {
	t.Helper()
	h.checkOrder(t, s.Describe().Has(kv.LinearizableRead))
	last := map[string]int{}
	for i := range counters {
		_, value, err := read(ctx, s, i)
		check.NoError(t, err)
		if value < len(h.acked[i]) || value > len(h.acked[i])+h.maybe[i] {
			t.Errorf("%s is %d; %d increments were acknowledged, and the outcome of %d is unknown", key(i), value, len(h.acked[i]), h.maybe[i])
		}
		if value > 0 {
			last[key(i)] = value
		}
	}
	seen := watchUntil(ctx, t, w, last)
	if !s.Describe().Has(kv.WatchEvery) {
		return
	}
	for i := range counters {
		for value := range h.acked[i] {
			if !seen[key(i)][value] {
				t.Errorf("the watch did not show that %s was %d", key(i), value)
			}
		}
	}
}

// watchUntil returns the values that the watcher showed until it reached the last
// states.
func watchUntil(ctx context.Context, t testing.TB, w *kv.Watcher, last map[string]int) map[string]map[int]bool {
	t.Helper()
	seen := map[string]map[int]bool{}
	missing := maps.Clone(last)
	for len(missing) > 0 {
		events, err := w.Next(ctx)
		if fairlead.CodeOf(err) == fairlead.Unavailable {
			continue
		}
		check.NoError(t, err)
		for _, e := range events {
			value, err := strconv.Atoi(string(e.Value))
			check.NoError(t, err)
			if seen[e.Key] == nil {
				seen[e.Key] = map[int]bool{}
			}
			seen[e.Key][value] = true
			if value == last[e.Key] {
				delete(missing, e.Key)
			}
		}
	}
	return seen
}

// checkOrder looks for an order in which each call took effect at one point in
// its duration.
func (h *history) checkOrder(t testing.TB, reads bool) {
	t.Helper()
	var calls []porcupine.Operation
	for _, c := range h.calls {
		if reads || c.Input.(call).write {
			calls = append(calls, c)
		}
	}
	if len(calls) == 0 {
		t.Fatal("no call was recorded")
	}
	if found := porcupine.CheckOperationsTimeout(model, calls, checkTime); found != porcupine.Ok {
		t.Errorf("the history of %d calls is not linearizable: %s", len(calls), found)
	}
}

// model is one counter, 0 without a value.
var model = porcupine.Model{
	Partition: func(all []porcupine.Operation) [][]porcupine.Operation {
		parts := make([][]porcupine.Operation, counters)
		for _, o := range all {
			i := o.Input.(call).counter
			parts[i] = append(parts[i], o)
		}
		return parts
	},
	Init: func() any { return 0 },
	Step: func(state, input, output any) (bool, any) {
		now, in, out := state.(int), input.(call), output.(result)
		applies := now == in.from
		switch {
		case !in.write:
			return now == out.value, now
		case out.conflict:
			return !applies, now
		case applies:
			return true, now + 1
		default:
			return out.unknown, now // a call of unknown outcome was not applied, or is applied later
		}
	},
}
