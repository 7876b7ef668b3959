package kvcases

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/anishathalye/porcupine"

	"fairlead.dev"
	"fairlead.dev/conformance/internal/suite"
	"fairlead.dev/kv"
)

// linearCases are about the acknowledged writes that readers must see.
var linearCases = []suite.Case{
	newCase("linear-handles", "the next read through another handle sees a write that one handle acknowledged", func(t *suite.T) {
		name := t.Name()
		writer, reader := t.StoreOf(t.Provider(), name), t.StoreOf(t.Provider(), name)
		for i := range 30 {
			rev := put(t, writer, "k", fmt.Sprint(i))
			wantEntry(t, reader, "k", fmt.Sprint(i), rev)
		}
		t.Must(writer.Delete(t.Context(), "k"))
		wantMissing(t, reader, "k")
	}, kv.LinearizableRead),
	newCase("linear-history", "the calls of 8 clients on 3 keys, through several handles, have an order in which each call takes effect at one point in its duration", func(t *suite.T) {
		h := newHistory(t)
		h.run(40, func() bool { return false })
		h.check()
	}, kv.LinearizableRead),
	newControlCase("linear-kill", "the history of 8 clients has such an order also when the backend is killed in the middle and started again", func(t *suite.T) {
		h := newHistory(t)
		var started atomic.Bool
		var clients sync.WaitGroup
		clients.Go(func() { h.run(100, func() bool { return !started.Load() }) })
		defer clients.Wait()
		defer started.Store(true)
		t.Eventually(t.Patience(), "100 calls", func() bool { return h.count() >= 100 })
		t.Must(t.Control().Kill(t.Context()))
		t.WaitUntilDown(t.Patience(), func() bool { return h.failures() > 0 })
		t.Must(t.Control().Start(t.Context()))
		started.Store(true)
		clients.Wait()
		h.check()
	}, kv.LinearizableRead, fairlead.DurableFsync),
}

// history records the calls and results of concurrent clients.
type history struct {
	t       *suite.T
	handles []*kv.Store
	cas     bool
	list    bool
	began   time.Time

	mu     sync.Mutex
	calls  []porcupine.Operation
	failed int // calls that were not applied
}

// step is one call of one key. Each value is written only once, so it stands for
// its revision. An empty value stands for a missing key.
type step struct {
	kind          string
	key           string
	value, expect string
}

// seen is the result of a step.
type seen struct {
	value    string // of a read
	conflict bool
	unknown  bool // may have been applied, or may be applied later
}

func newHistory(t *suite.T) *history {
	name := t.Name()
	h := &history{t: t, began: time.Now(), cas: t.Facet().Has(kv.CAS), list: t.Facet().Has(kv.List)}
	open := []fairlead.Provider{t.Provider(), t.Provider()}
	if t.Facet().Has(fairlead.Shared) {
		open = append(open, t.Open())
	}
	for _, p := range open {
		h.handles = append(h.handles, t.StoreOf(p, name))
	}
	return h
}

// run lets each of 8 clients make that many calls, and further calls while more
// returns true.
func (h *history) run(calls int, more func() bool) {
	suite.RunConcurrently(8, func(client int) {
		r := rand.New(rand.NewPCG(uint64(client), 1))
		known := map[string]kv.Entry{} // what the client saw last
		for n := 0; n < calls || more(); n++ {
			ctx, cancel := context.WithTimeout(h.t.Context(), 2*time.Second)
			h.call(ctx, r, client, n, known)
			cancel()
			if n >= calls || h.failures() > 0 {
				// The backend is about to be down, is down, or was down. Make few
				// calls: the search for an order takes long if the outcomes of many
				// calls are unknown.
				time.Sleep(50 * time.Millisecond)
			}
		}
	})
}

func (h *history) call(ctx context.Context, r *rand.Rand, client, n int, known map[string]kv.Entry) {
	s := h.handles[r.IntN(len(h.handles))]
	key, value := fmt.Sprint("k", r.IntN(3)), fmt.Sprintf("%d.%d", client, n)
	began := time.Since(h.began)
	record := func(in step, out seen, err error) { h.record(client, began, in, out, err) }
	switch k := r.IntN(10); {
	case k < 3:
		e, err := s.Get(ctx, key)
		if err == nil {
			known[key] = e
		}
		record(step{kind: "read", key: key}, seen{value: string(e.Value)}, err)
	case k == 3:
		h.readMany(ctx, s, record)
	case k == 4 && h.list:
		h.readList(ctx, s, record)
	case k == 5:
		record(step{kind: "delete", key: key}, seen{}, s.Delete(ctx, key))
	case k == 6 && h.cas:
		_, err := s.Create(ctx, key, []byte(value))
		record(step{kind: "cas", key: key, value: value}, seen{}, err)
	case k <= 8 && h.cas && known[key].Revision != "":
		_, err := s.CAS(ctx, key, []byte(value), known[key].Revision)
		record(step{kind: "cas", key: key, value: value, expect: string(known[key].Value)}, seen{}, err)
	default:
		rev, err := s.Put(ctx, key, []byte(value))
		if err == nil {
			known[key] = kv.Entry{Value: []byte(value), Revision: rev}
		}
		record(step{kind: "put", key: key, value: value}, seen{}, err)
	}
}

func (h *history) readMany(ctx context.Context, s *kv.Store, record func(step, seen, error)) {
	found, err := s.GetMany(ctx, "k0", "k1", "k2")
	for _, f := range found {
		record(step{kind: "read", key: f.Key}, seen{value: string(f.Value)}, err)
	}
}

func (h *history) readList(ctx context.Context, s *kv.Store, record func(step, seen, error)) {
	listed := map[string]string{}
	for e, err := range s.List(ctx, "k") {
		if err != nil {
			return
		}
		listed[e.Key] = string(e.Value)
	}
	for _, key := range []string{"k0", "k1", "k2"} {
		record(step{kind: "read", key: key}, seen{value: listed[key]}, nil)
	}
}

// record records a call for the check, unless it failed without effect. A call
// whose outcome is unknown may take effect at any later time.
func (h *history) record(client int, began time.Duration, in step, out seen, err error) {
	ended := time.Since(h.began).Nanoseconds()
	switch code := fairlead.CodeOf(err); {
	case err == nil, code == fairlead.NotFound && in.kind == "read":
	case code == fairlead.Conflict && in.kind == "cas":
		out.conflict = true
	case code == fairlead.UnknownOutcome && in.kind != "read":
		out.unknown, ended = true, math.MaxInt64
		h.fail()
	case code == fairlead.Unavailable, code == fairlead.DeadlineExceeded:
		h.fail()
		return
	default:
		h.t.Errorf("%s of %s: %v", in.kind, in.key, err)
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.calls = append(h.calls, porcupine.Operation{ClientId: client, Input: in, Output: out, Call: began.Nanoseconds(), Return: ended})
}

func (h *history) fail() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.failed++
}

func (h *history) failures() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.failed
}

func (h *history) count() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.calls)
}

// check searches for the order. A search that does not end in time is a
// failure: nothing was shown.
func (h *history) check() {
	switch porcupine.CheckOperationsTimeout(registers, h.calls, 20*time.Second) {
	case porcupine.Illegal:
		h.t.Errorf("of %d calls of 8 clients, some read or condition saw a state that no order of the writes explains; the fewest calls that show it:\n%s",
			len(h.calls), formatCalls(shortestIllegal(h.calls)))
	case porcupine.Unknown:
		h.t.Errorf("no order of %d calls was found within 20s, nor shown to be impossible", len(h.calls))
	}
}

// registers is the model: keys that are independent of each other.
var registers = porcupine.Model{
	Partition: func(all []porcupine.Operation) [][]porcupine.Operation {
		keys := map[string][]porcupine.Operation{}
		for _, op := range all {
			key := op.Input.(step).key
			keys[key] = append(keys[key], op)
		}
		var parts [][]porcupine.Operation
		for _, ops := range keys {
			parts = append(parts, ops)
		}
		return parts
	},
	Init: func() any { return "" },
	Step: func(state, input, output any) (bool, any) {
		return stepRegister(state.(string), input.(step), output.(seen))
	},
}

// stepRegister reports whether a call may return this result in a state, and
// returns the state after it. If a write of unknown outcome never takes effect, it
// counts as taking effect after the last call.
func stepRegister(state string, in step, out seen) (bool, any) {
	holds := state == in.expect
	switch {
	case in.kind == "read":
		return out.value == state, state
	case in.kind == "put":
		return true, in.value
	case in.kind == "delete":
		return true, ""
	case out.unknown && !holds:
		return true, state
	case out.conflict:
		return !holds, state
	default:
		return holds, in.value
	}
}
