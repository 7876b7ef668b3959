package configcases

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"fairlead.dev"
	"fairlead.dev/config"
	"fairlead.dev/conformance/internal/suite"
)

// claimCases proves the claims of the facet.
var claimCases = []suite.Case{
	{
		Name: "config/snapshot-moment", Timeout: 2 * time.Minute, Needs: withWrite(config.Snapshot),
		Rule: "a snapshot shows no change without the ones that were acknowledged before it",
		Run:  testSnapshotMoment,
	},
	{
		Name: "config/snapshot-whole", Needs: withWrite(config.Snapshot, config.AtomicSet),
		Rule: "during 200 random Sets, no snapshot and no state that Next returns ever holds a part of a Set",
		Run:  testSnapshotWhole,
	},
	{
		Name: "config/atomic-race", Needs: withWrite(config.AtomicSet),
		Rule: "of concurrent Sets of the same keys, one Set determines the values of all keys",
		Run:  testAtomicRace,
	},
	{
		Name: "config/atomic-conflict", Needs: withWrite(config.AtomicSet, config.CompareAndSet),
		Rule: "a Set with one change whose condition does not hold applies none of its changes",
		Run: func(t *suite.T) {
			s := t.Source(t.Name())
			version := setTexts(t, s, "a", "1", "b", "1")
			for _, checked := range []config.Change{
				config.PutIf("b", []byte("2"), "stale"), config.Create("b", []byte("2")),
				config.PutIf("missing", []byte("2"), "some"), config.DeleteIf("b", "stale"),
			} {
				_, err := s.Set(t.Context(), config.Put("a", []byte("2")), checked, config.Put("c", []byte("2")))
				t.WantCode("Set", err, fairlead.Conflict)
				now := takeSnapshot(t, s)
				wantValues(t, "after the Conflict", now, "a", "1", "b", "1")
				if now.Version != version {
					t.Errorf("the version is %q, and was %q; nothing changed", now.Version, version)
				}
			}
		},
	},
	{
		Name: "config/shared", Needs: withWrite(fairlead.Shared),
		Rule: "a Set through one provider is read through another provider of the same URL, and wakes its Next",
		Run: func(t *suite.T) {
			name := t.Name()
			mine, other := t.Source(name), t.SourceOf(t.Open(), name)
			version := setTexts(t, mine, "k", "1")
			wantValues(t, "through the other provider", takeSnapshot(t, other), "k", "1")
			answers := startNext(t, other, version)
			setTexts(t, mine, "k", "2")
			wantValues(t, "Next through the other provider", wantResult(t, answers, "after a Set"), "k", "2")
		},
	},
}

// absentCases returns a case for each claim of the facet that may be absent.
func absentCases() []suite.Case {
	var cases []suite.Case
	for _, one := range []struct {
		name  string
		claim fairlead.Claim
	}{
		{"write", config.Write}, {"cas", config.CompareAndSet}, {"snapshot", config.Snapshot}, {"atomic-set", config.AtomicSet},
		{"delete-visible", config.DeleteVisible},
	} {
		c := one.claim
		cases = append(cases, suite.Case{
			Name: "config/absent-" + one.name, Lacks: c,
			Rule: fmt.Sprintf("without the claim %s, opening settings that require it fails, and the calls that need it return Unsupported", c),
			Run: func(t *suite.T) {
				s, err := config.Open(t.Context(), t.Provider(), t.Name(), config.Require(c))
				t.WantCode("Open with "+string(c)+" required", err, fairlead.Unsupported)
				if err == nil {
					t.Cleanup(s.Close)
				}
				wantWritesRefused(t, c)
			},
		})
	}
	return cases
}

// wantWritesRefused makes the writes that need a claim.
func wantWritesRefused(t *suite.T, c fairlead.Claim) {
	change, ok := map[fairlead.Claim]config.Change{
		config.Write: config.Put("k", nil), config.CompareAndSet: config.Create("k", nil),
	}[c]
	if !ok {
		return
	}
	_, err := t.Source(t.Name()).Set(t.Context(), change)
	t.WantCode("Set", err, fairlead.Unsupported)
}

// testSnapshotMoment sets two pairs of keys in turns, the first key of a pair
// before the second one. The first key of one pair is the lower key, and the first
// key of the other pair is the higher one: a listing that is no snapshot may read
// in either order.
func testSnapshotMoment(t *suite.T) {
	s := t.Source(t.Name())
	for i := range 20 { // so that a listing takes some time
		var more []string
		for j := range 10 {
			more = append(more, fmt.Sprintf("m%d", 10*i+j), "")
		}
		setTexts(t, s, more...)
	}
	var done atomic.Bool
	var readers sync.WaitGroup
	for range 2 {
		readers.Go(func() {
			for !done.Load() && t.Context().Err() == nil {
				state, err := s.Snapshot(t.Context())
				if err != nil {
					t.Errorf("Snapshot: %v", err)
					return
				}
				wantOrder(t, state, "a", "z")
				wantOrder(t, state, "y", "b")
			}
		})
	}
	// Fewer rounds if each takes long: a race then shows sooner.
	began := time.Now()
	for i := 0; i < 100 && (i < 10 || time.Since(began) < 5*time.Second); i++ {
		for _, key := range []string{"a", "z", "y", "b"} {
			setTexts(t, s, key, strconv.Itoa(i))
		}
	}
	done.Store(true)
	readers.Wait()
}

// wantOrder demands that the first of two counters is as high as the second
// or one higher.
func wantOrder(t *suite.T, state config.State, first, second string) {
	number := func(key string) int {
		v, ok := state.Values[key]
		if !ok {
			return -1
		}
		n, _ := strconv.Atoi(string(v.Data))
		return n
	}
	if ahead := number(first) - number(second); ahead < 0 || ahead > 1 {
		t.Errorf("a snapshot has %s=%d and %s=%d, which were never present together", first, number(first), second, number(second))
	}
}

// pairsPerSet returns how many pairs of keys one Set can hold, at most 16.
func pairsPerSet(t *suite.T) int {
	if limit := t.Facet().Limits.MaxTxnOps; limit > 0 {
		return max(1, min(16, limit/2))
	}
	return 16
}

// testSnapshotWhole sets random pairs of keys, both of a pair always to the
// same value, and looks for a state in which they differ.
func testSnapshotWhole(t *suite.T) {
	name, pairs := t.Name(), pairsPerSet(t)
	s, other := t.Source(name), t.Source(name)
	version := setChanges(t, s, setPairs("0", pairs, pairs)...)
	var done atomic.Bool
	var reads atomic.Int64
	var readers sync.WaitGroup
	follow := func(read func(context.Context) (config.State, error)) {
		readers.Go(func() {
			for !done.Load() {
				state, err := read(t.Context())
				if err != nil {
					t.Errorf("reading: %v", err)
					reads.Add(60) // ends the wait for 60 reads
					return
				}
				wantPairs(t, state, pairs)
				reads.Add(1)
			}
		})
	}
	follow(s.Snapshot)
	follow(other.Snapshot)
	follow(func(ctx context.Context) (config.State, error) {
		state, err := other.Next(ctx, version)
		version = state.Version
		return state, err
	})
	// More than 200 if the readers have not begun by then, fewer on a slow backend.
	began := time.Now()
	for i := 0; i < 200 || reads.Load() < 60 && i < 20_000; i++ {
		if i >= 20 && reads.Load() > 0 && time.Since(began) > t.Patience() {
			break
		}
		setChanges(t, s, setPairs(strconv.Itoa(i), pairs, 1+rand.IntN(pairs))...)
	}
	done.Store(true)
	setTexts(t, s, "the end", "") // wakes the reader that waits
	readers.Wait()
}

// setPairs returns changes of n random pairs, in a random order.
func setPairs(value string, pairs, n int) []config.Change {
	var changes []config.Change
	for _, i := range rand.Perm(pairs)[:n] {
		for _, half := range []string{"left/", "right/"} {
			changes = append(changes, config.Put(half+strconv.Itoa(i), []byte(value)))
		}
	}
	rand.Shuffle(len(changes), func(i, j int) { changes[i], changes[j] = changes[j], changes[i] })
	return changes
}

func wantPairs(t *suite.T, state config.State, pairs int) {
	all := textsOf(state)
	for i := range pairs {
		if l, r := all["left/"+strconv.Itoa(i)], all["right/"+strconv.Itoa(i)]; l != r {
			t.Errorf("a state has %q on the left and %q on the right of pair %d, which were set together", l, r, i)
		}
	}
}

func testAtomicRace(t *suite.T) {
	s, pairs := t.Source(t.Name()), pairsPerSet(t)
	for round := range 20 {
		var writers sync.WaitGroup
		for w := range 4 {
			changes := setPairs(fmt.Sprintf("round %d, writer %d", round, w), pairs, pairs)
			writers.Go(func() {
				if _, err := s.Set(t.Context(), changes...); err != nil {
					t.Errorf("Set: %v", err)
				}
			})
		}
		writers.Wait()
		winners := map[string]int{}
		for _, value := range textsOf(takeSnapshot(t, s)) {
			winners[value]++
		}
		if len(winners) != 1 {
			t.Fatalf("the Sets of several writers are mixed: %v", winners)
		}
	}
}
