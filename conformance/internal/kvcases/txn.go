package kvcases

import (
	"fmt"
	"time"

	"fairlead.dev"
	"fairlead.dev/conformance/internal/suite"
	"fairlead.dev/kv"
)

// txnCase is a case that needs the claim Txn.
func txnCase(name, rule string, run func(*suite.T), needs ...fairlead.Claim) suite.Case {
	return newCase(name, rule, run, append(needs, kv.Txn)...)
}

// txnCases are about transactions.
var txnCases = []suite.Case{
	txnCase("txn-applies", "a Txn whose conditions hold applies all its writes, and all written keys have the revision that it returns", func(t *suite.T) {
		s := t.Store()
		a := put(t, s, "a", "1")
		put(t, s, "gone", "1")
		rev, err := s.Txn(t.Context(), kv.IfRevision("a", a), kv.IfMissing("new"),
			kv.ThenPut("a", []byte("2")), kv.ThenPut("new", nil), kv.ThenPut("blind", []byte("2")), kv.ThenDelete("gone"), kv.ThenDelete("never"))
		t.Must(err)
		wantEntry(t, s, "a", "2", rev)
		wantEntry(t, s, "new", "", rev)
		wantEntry(t, s, "blind", "2", rev)
		wantMissing(t, s, "gone")
		wantMissing(t, s, "never")
		if rev == a {
			t.Errorf("the transaction gave the revision %q, which the key had before", rev)
		}
	}),
	txnCase("txn-stale", "a Txn with one stale revision, at any position, is a Conflict and applies none of its writes", func(t *suite.T) {
		txnConflicts(t, func(s *kv.Store, stale kv.Revision) kv.TxnPart { return kv.IfRevision("b", stale) })
	}),
	txnCase("txn-exists", "a Txn with IfMissing of a key that exists is a Conflict and applies none of its writes", func(t *suite.T) {
		txnConflicts(t, func(*kv.Store, kv.Revision) kv.TxnPart { return kv.IfMissing("b") })
	}),
	txnCase("txn-missing", "a Txn with IfRevision of a key that does not exist is a Conflict and applies none of its writes", func(t *suite.T) {
		txnConflicts(t, func(_ *kv.Store, stale kv.Revision) kv.TxnPart { return kv.IfRevision("never", stale) })
	}),
	txnCase("txn-deleted", "a Txn with the last revision of a deleted key is a Conflict; IfMissing of that key holds", func(t *suite.T) {
		s := t.Store()
		rev := put(t, s, "k", "1")
		t.Must(s.Delete(t.Context(), "k"))
		_, err := s.Txn(t.Context(), kv.IfRevision("k", rev), kv.ThenPut("k", []byte("2")), kv.ThenPut("l", nil))
		t.WantCode("Txn with the revision of a deleted key", err, fairlead.Conflict)
		wantMissing(t, s, "k")
		wantMissing(t, s, "l")
		_, err = s.Txn(t.Context(), kv.IfMissing("k"), kv.ThenPut("k", []byte("3")))
		t.Must(err)
		wantValue(t, s, "k", "3")
	}),
	txnCase("txn-recreated", "a Txn with a revision from before a delete is a Conflict after the key was created again", func(t *suite.T) {
		s := t.Store()
		stale := put(t, s, "k", "same")
		t.Must(s.Delete(t.Context(), "k"))
		rev := put(t, s, "k", "same")
		_, err := s.Txn(t.Context(), kv.IfRevision("k", stale), kv.ThenPut("k", []byte("2")))
		t.WantCode("Txn with the revision from before the delete", err, fairlead.Conflict)
		wantEntry(t, s, "k", "same", rev)
	}),
	txnCase("txn-revisions", "the revision that a Txn returned serves as a condition of the next Txn, and other writes make it stale", func(t *suite.T) {
		s := t.Store()
		rev, err := s.Txn(t.Context(), kv.ThenPut("a", []byte("1")), kv.ThenPut("b", []byte("1")))
		t.Must(err)
		next, err := s.Txn(t.Context(), kv.IfRevision("a", rev), kv.IfRevision("b", rev), kv.ThenPut("a", []byte("2")))
		t.Must(err)
		put(t, s, "b", "2")
		_, err = s.Txn(t.Context(), kv.IfRevision("a", next), kv.IfRevision("b", rev), kv.ThenPut("a", []byte("3")))
		t.WantCode("Txn with a stale revision", err, fairlead.Conflict)
		wantEntry(t, s, "a", "2", next)
	}),
	txnCase("txn-blind", "a Txn without conditions applies its writes; a Txn of deletes only deletes", func(t *suite.T) {
		s := t.Store()
		_, err := s.Txn(t.Context(), kv.ThenPut("a", nil), kv.ThenPut("b", []byte("x")))
		t.Must(err)
		wantValue(t, s, "a", "")
		_, err = s.Txn(t.Context(), kv.ThenDelete("a"), kv.ThenDelete("b"), kv.ThenDelete("c"))
		t.Must(err)
		wantMissing(t, s, "a")
		wantMissing(t, s, "b")
	}),
	txnCase("txn-refused", "a Txn without a write, with a key twice, with an empty revision, or with more than MaxTxnOps, is refused and applies nothing", testTxnRefused),
	txnCase("txn-max", "a Txn of MaxTxnOps conditions and writes (of 500, where that is less) applies them all", testTxnMax),
	txnCase("txn-race", "of 32 concurrent Txns with the same conditions exactly one succeeds, and all its writes stay", testTxnRace),
	txnCase("txn-transfers", "16 clients that move amounts between 5 accounts by Txn keep the sum", testTxnTransfers),
	txnCase("txn-seen-whole", "no reader sees a part of a Txn: two values that a Txn confirms as present at the same time belong together", testTxnSeenWhole),
	txnCase("txn-read-in-turn", "a reader that has seen one key of a Txn then reads the other key at least as new", testTxnReadInTurn, kv.LinearizableRead),
}

// txnConflicts runs transactions with one condition that does not hold.
func txnConflicts(t *suite.T, failing func(s *kv.Store, stale kv.Revision) kv.TxnPart) {
	s := t.Store()
	a, stale := put(t, s, "a", "1"), put(t, s, "b", "1")
	b := put(t, s, "b", "2")
	fails := failing(s, stale)
	holds := []kv.TxnPart{kv.IfRevision("a", a), kv.IfMissing("c")}
	writes := []kv.TxnPart{kv.ThenPut("a", []byte("3")), kv.ThenDelete("b"), kv.ThenPut("c", []byte("3"))}
	for place := range len(holds) + 1 {
		parts := append([]kv.TxnPart{}, holds[:place]...)
		parts = append(append(append(parts, fails), holds[place:]...), writes...)
		_, err := s.Txn(t.Context(), parts...)
		t.WantCode(fmt.Sprintf("Txn whose condition %d does not hold", place), err, fairlead.Conflict)
		wantEntry(t, s, "a", "1", a)
		wantEntry(t, s, "b", "2", b)
		wantMissing(t, s, "c")
	}
}

func testTxnRefused(t *suite.T) {
	s := t.Store()
	rev := put(t, s, "k", "1")
	over := make([]kv.TxnPart, t.Facet().Limits.MaxTxnOps+1)
	for i := range over {
		over[i] = kv.ThenPut(fmt.Sprint("over", i), nil)
	}
	write := kv.ThenPut("k", []byte("2"))
	for _, bad := range []struct {
		what  string
		code  fairlead.Code
		parts []kv.TxnPart
	}{
		{"of nothing", fairlead.Invalid, nil},
		{"of a condition only", fairlead.Invalid, []kv.TxnPart{kv.IfRevision("k", rev)}},
		{"that writes a key twice", fairlead.Invalid, []kv.TxnPart{write, kv.ThenPut("l", nil), kv.ThenPut("k", []byte("3"))}},
		{"that writes and deletes a key", fairlead.Invalid, []kv.TxnPart{write, kv.ThenDelete("k")}},
		{"with two conditions of one key", fairlead.Invalid, []kv.TxnPart{kv.IfRevision("k", rev), kv.IfMissing("k"), write}},
		{"with an empty revision", fairlead.Invalid, []kv.TxnPart{kv.IfRevision("k", ""), write}},
		{"with more than MaxTxnOps", fairlead.TooLarge, append(over[1:], write, over[0])},
	} {
		_, err := s.Txn(t.Context(), bad.parts...)
		t.WantCode("Txn "+bad.what, err, bad.code)
	}
	wantEntry(t, s, "k", "1", rev)
	wantMissing(t, s, "l")
	wantMissing(t, s, "over1")
}

func testTxnMax(t *suite.T) {
	s := t.Store()
	n := min(t.Facet().Limits.MaxTxnOps, 500)
	if n < 2 {
		t.Fatalf("MaxTxnOps is %d: a transaction of a condition and a write is the least", n)
	}
	keys := numberedKeys("k", n/2)
	parts := make([]kv.TxnPart, 0, n)
	for _, key := range keys {
		parts = append(parts, kv.IfMissing(key), kv.ThenPut(key, []byte(key)))
	}
	rev, err := s.Txn(t.Context(), parts...)
	t.Must(err)
	wantFound(t, s, keys, func(string) bool { return true })
	wantEntry(t, s, keys[len(keys)-1], keys[len(keys)-1], rev)
	_, err = s.Txn(t.Context(), parts...)
	t.WantCode("the same Txn again", err, fairlead.Conflict)
}

func testTxnRace(t *suite.T) {
	handles := raceWriters(t, func(s *kv.Store, key, value string, rev kv.Revision) error {
		_, err := s.Txn(t.Context(), kv.IfRevision(key, rev), kv.IfMissing(key+"-twin"),
			kv.ThenPut(key+"-twin", []byte(value)), kv.ThenPut(key, []byte(value)))
		return err
	}, true)
	for round := range raceRounds {
		key := fmt.Sprint("k", round)
		found, err := handles[0].GetMany(t.Context(), key, key+"-twin")
		t.Must(err)
		if string(found[0].Value) != string(found[1].Value) || found[0].Revision != found[1].Revision {
			t.Errorf("two keys that were written together have the values %q and %q", found[0].Value, found[1].Value)
		}
	}
}

func testTxnTransfers(t *suite.T) {
	s := t.Store()
	accounts := numberedKeys("account", 5)
	for _, a := range accounts {
		put(t, s, a, "100")
	}
	for n := range 6 {
		suite.RunConcurrently(16, func(i int) {
			if err := transfer(t, s, accounts[(i+n)%5], accounts[(i+2*n+1+n%2)%5], 1+i%3); err != nil {
				t.Errorf("a transfer: %v", err)
			}
		})
		wantSum(t, s, accounts, 500) // each time: a lost amount may come back by chance
	}
}

func wantSum(t *suite.T, s *kv.Store, accounts []string, want int) {
	sum := 0
	found, err := s.GetMany(t.Context(), accounts...)
	t.Must(err)
	for _, f := range found {
		sum += number(t, f)
	}
	if sum != want {
		t.Errorf("the sum of the accounts is %d, want %d", sum, want)
	}
}

// transfer moves an amount, repeating until no other client interferes.
func transfer(t *suite.T, s *kv.Store, from, to string, amount int) error {
	if from == to {
		return nil
	}
	for {
		found, err := s.GetMany(t.Context(), from, to)
		if err != nil {
			return err
		}
		a, b := found[0], found[1]
		_, err = s.Txn(t.Context(),
			kv.IfRevision(from, a.Revision), kv.IfRevision(to, b.Revision),
			kv.ThenPut(from, []byte(fmt.Sprint(number(t, a)-amount))),
			kv.ThenPut(to, []byte(fmt.Sprint(number(t, b)+amount))))
		if fairlead.CodeOf(err) != fairlead.Conflict {
			return err
		}
	}
}

// number returns the number in an entry's value.
func number(t *suite.T, e kv.Entry) int {
	var n int
	if _, err := fmt.Sscan(string(e.Value), &n); err != nil {
		t.Errorf("the value of %s is no number: %q", e.Key, e.Value)
	}
	return n
}

// pairWriter writes "a" and "b" together, repeatedly.
func pairWriter(t *suite.T, s *kv.Store) func(writer, round int) error {
	return func(_, round int) error {
		v := []byte(fmt.Sprint(round))
		_, err := s.Txn(t.Context(), kv.ThenPut("a", v), kv.ThenPut("b", v))
		return err
	}
}

// testTxnSeenWhole reads two keys one after the other, so that the state may
// change between, and lets a Txn confirm that both values were present at once.
func testTxnSeenWhole(t *suite.T) {
	s := t.Store()
	write := pairWriter(t, s)
	t.Must(write(0, -1))
	paused := func(writer, round int) error { // so that a reader can succeed in between
		if _, err := s.Get(t.Context(), "a"); err != nil {
			return err
		}
		return write(writer, round)
	}
	confirmed := map[kv.Revision]bool{}
	began := time.Now()
	runWhileWriting(t, 1, paused, func(*concurrent) {
		for range 500 {
			if len(confirmed) > 3 && time.Since(began) > t.Patience() {
				return // a slow backend: the states seen so far must suffice
			}
			found, err := s.GetMany(t.Context(), "a", "b")
			t.Must(err)
			a, b := found[0], found[1]
			_, err = s.Txn(t.Context(), kv.IfRevision("a", a.Revision), kv.IfRevision("b", b.Revision), kv.ThenPut("confirmed", nil))
			if fairlead.CodeOf(err) == fairlead.Conflict {
				continue
			}
			t.Must(err)
			confirmed[a.Revision] = true
			if string(a.Value) != string(b.Value) || a.Revision != b.Revision {
				t.Fatalf("a=%s and b=%s were present at the same time, and were always written together", a.Value, b.Value)
			}
			if len(confirmed) == 30 {
				return
			}
			time.Sleep(100 * time.Microsecond) // so that the reads see different states; it decides nothing
		}
	})
	t.Logf("%d pairs were confirmed", len(confirmed))
}

func testTxnReadInTurn(t *suite.T) {
	name := t.Name()
	s, reader := t.StoreOf(t.Provider(), name), t.StoreOf(t.Provider(), name)
	write := pairWriter(t, s)
	t.Must(write(0, -1))
	began := time.Now()
	runWhileWriting(t, 1, write, func(c *concurrent) {
		for i := range 100 {
			if i >= 10 && time.Since(began) > t.Patience() {
				return // a slow backend: the states seen so far must suffice
			}
			if i%4 == 0 {
				c.waitForWrites(1)
			}
			first, second := "a", "b"
			if i%2 == 1 {
				first, second = second, first
			}
			one, err := reader.Get(t.Context(), first)
			t.Must(err)
			two, err := reader.Get(t.Context(), second)
			t.Must(err)
			if number(t, two) < number(t, one) {
				t.Fatalf("%s=%s was seen, and then %s=%s: a part of a transaction", first, one.Value, second, two.Value)
			}
		}
	})
}
