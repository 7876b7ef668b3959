package configcases

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"sync/atomic"

	"fairlead.dev"
	"fairlead.dev/config"
	"fairlead.dev/conformance/internal/suite"
)

// checkedCases are about changes that depend on the present version of their key.
var checkedCases = []suite.Case{
	{
		Name: "config/cas", Needs: withWrite(config.CompareAndSet),
		Rule: "a checked change is applied if the key has the version, or is missing where the version is empty; otherwise it is a Conflict",
		Run:  testCAS,
	},
	{
		Name: "config/cas-recreated", Needs: withWrite(config.CompareAndSet),
		Rule: "a key never has a version twice: not with the same value, and not after it was deleted and set again",
		Run:  testCASRecreated,
	},
	{
		Name: "config/cas-race", Needs: withWrite(config.CompareAndSet),
		Rule: "of 16 checked changes of one version exactly one is applied, and the others are Conflicts",
		Run:  testCASRace,
	},
	{
		Name: "config/cas-counter", Needs: withWrite(config.CompareAndSet), Full: true,
		Rule: "eight writers that increment a counter by checked changes, and try again after a Conflict, lose no increment",
		Run:  testCASCounter,
	},
}

func testCAS(t *suite.T) {
	s := t.Source(t.Name())
	try := func(what string, want fairlead.Code, value string, c config.Change) {
		_, err := s.Set(t.Context(), c)
		t.WantCode(what, err, want)
		if got := textsOf(takeSnapshot(t, s))["k"]; got != value {
			t.Errorf("%s: the value is %q, want %q", what, got, value)
		}
	}
	version := func() string {
		v, err := s.Get(t.Context(), "k")
		t.Must(err)
		if v.Version == "" {
			t.Fatalf("the key has no version, which checked changes need")
		}
		return v.Version
	}
	try("a missing key must have a version", fairlead.Conflict, "", config.PutIf("k", []byte("x"), "some"))
	try("a missing key is to be deleted", fairlead.Conflict, "", config.DeleteIf("k", "some"))
	try("a missing key must be missing", 0, "1", config.Create("k", []byte("1")))
	try("an existing key must be missing", fairlead.Conflict, "1", config.Create("k", []byte("x")))
	first := version()
	try("the version is the present one", 0, "2", config.PutIf("k", []byte("2"), first))
	try("the version is an old one", fairlead.Conflict, "2", config.PutIf("k", []byte("x"), first))
	try("a deletion by an old version", fairlead.Conflict, "2", config.DeleteIf("k", first))
	try("a deletion by the present version", 0, "", config.DeleteIf("k", version()))
	try("a deleted key must have its last version", fairlead.Conflict, "", config.PutIf("k", []byte("x"), first))
	if _, err := s.Get(t.Context(), "k"); !errors.Is(err, fairlead.NotFound) {
		t.Errorf("after the deletion: %v, want not found", err)
	}
	_, err := s.Set(t.Context(), config.DeleteIf("k", ""))
	t.WantCode("a checked deletion without a version", err, fairlead.Invalid)
}

func testCASRecreated(t *suite.T) {
	s := t.Source(t.Name())
	seen := map[string]int{}
	for i := range 4 {
		setTexts(t, s, "k", "same")
		v, err := s.Get(t.Context(), "k")
		t.Must(err)
		for version, j := range seen {
			_, err := s.Set(t.Context(), config.PutIf("k", []byte("x"), version))
			t.WantCode(fmt.Sprintf("a change by version %d, after %d were written", j+1, i+1), err, fairlead.Conflict)
		}
		seen[v.Version] = i
		if i%2 == 1 {
			setChanges(t, s, config.Delete("k"))
		}
	}
	if len(seen) != 4 {
		t.Errorf("four writes gave the key %d versions", len(seen))
	}
}

func testCASRace(t *suite.T) {
	s := t.Source(t.Name())
	setTexts(t, s, "k", "before")
	before, err := s.Get(t.Context(), "k")
	t.Must(err)
	var winners atomic.Int64
	var winner atomic.Value
	var racers sync.WaitGroup
	for i := range 16 {
		racers.Go(func() {
			value := strconv.Itoa(i)
			_, err := s.Set(t.Context(), config.PutIf("k", []byte(value), before.Version))
			if err == nil {
				winners.Add(1)
				winner.Store(value)
			} else {
				t.WantCode("a Set that lost", err, fairlead.Conflict)
			}
		})
	}
	racers.Wait()
	if winners.Load() != 1 {
		t.Fatalf("%d of 16 checked changes of one version were made, want 1", winners.Load())
	}
	wantValues(t, "afterwards", takeSnapshot(t, s), "k", winner.Load().(string))
}

func testCASCounter(t *suite.T) {
	const writers, counts = 8, 10
	s := t.Source(t.Name())
	setTexts(t, s, "n", "0")
	var all sync.WaitGroup
	for range writers {
		all.Go(func() {
			for range counts {
				if err := addSetting(t.Context(), s); err != nil {
					t.Errorf("counting: %v", err)
				}
			}
		})
	}
	all.Wait()
	wantValues(t, "afterwards", takeSnapshot(t, s), "n", strconv.Itoa(writers*counts))
}

// addSetting adds one to a setting, and tries again after a Conflict.
func addSetting(ctx context.Context, s *config.Source) error {
	for {
		v, err := s.Get(ctx, "n")
		if err != nil {
			return err
		}
		n, _ := strconv.Atoi(string(v.Data))
		_, err = s.Set(ctx, config.PutIf("n", []byte(strconv.Itoa(n+1)), v.Version))
		if !errors.Is(err, fairlead.Conflict) {
			return err
		}
	}
}
