package configcases

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"fairlead.dev"
	"fairlead.dev/config"
	"fairlead.dev/conformance/internal/suite"
)

// writable is the claim that most cases of config need.
var writable = []fairlead.Claim{config.Write}

// withWrite returns config.Write and the given claims.
func withWrite(claims ...fairlead.Claim) []fairlead.Claim { return append(claims, config.Write) }

// setChanges makes changes, and ends the case if that fails.
func setChanges(t *suite.T, s *config.Source, changes ...config.Change) string {
	version, err := s.Set(t.Context(), changes...)
	t.Must(err)
	return version
}

// setTexts sets keys to values, which are given alternately.
func setTexts(t *suite.T, s *config.Source, keysAndValues ...string) string {
	var changes []config.Change
	for pair := range slices.Chunk(keysAndValues, 2) {
		changes = append(changes, config.Put(pair[0], []byte(pair[1])))
	}
	return setChanges(t, s, changes...)
}

func takeSnapshot(t *suite.T, s *config.Source) config.State {
	state, err := s.Snapshot(t.Context())
	t.Must(err)
	return state
}

// textsOf returns the values of a state.
func textsOf(s config.State) map[string]string {
	all := make(map[string]string, len(s.Values))
	for key, v := range s.Values {
		all[key] = string(v.Data)
	}
	return all
}

// wantValues demands that a state has a version and exactly these keys and
// values, which are given alternately.
func wantValues(t *suite.T, what string, s config.State, keysAndValues ...string) {
	want := map[string]string{}
	for pair := range slices.Chunk(keysAndValues, 2) {
		want[pair[0]] = pair[1]
	}
	if got := textsOf(s); !maps.Equal(got, want) {
		t.Errorf("%s: got %.200s, want %.200s", what, fmt.Sprintf("%q", got), fmt.Sprintf("%q", want))
	}
	if s.Version == "" {
		t.Errorf("%s: the version is empty", what)
	}
}

// nextState returns the state after a version, which must come.
func nextState(t *suite.T, s *config.Source, version string) config.State {
	state, err := s.Next(t.Within(t.Patience()), version)
	if err != nil {
		t.Fatalf("Next after a change: %v", err)
	}
	if state.Version == version {
		t.Fatalf("Next returned the version %q that it was given", version)
	}
	return state
}

// followUntil follows a source until ok is true of a state, which it returns.
func followUntil(t *suite.T, s *config.Source, version, what string, ok func(config.State) bool) config.State {
	ctx := t.Within(t.Patience())
	for {
		state, err := s.Next(ctx, version)
		if err != nil {
			t.Fatalf("waiting for %s: %v", what, err)
		}
		if ok(state) {
			return state
		}
		version = state.Version
	}
}

// answer is the result of a Next.
type answer struct {
	state config.State
	err   error
}

// startNext calls Next in the background, and demands that it waits.
func startNext(t *suite.T, s *config.Source, version string) <-chan answer {
	answers := make(chan answer, 1)
	ctx := t.Context()
	go func() {
		state, err := s.Next(ctx, version)
		answers <- answer{state, err}
	}()
	wantNoResult(t, answers, "nothing changed")
	return answers
}

// wantNoResult demands that Next does not return for a while.
func wantNoResult(t *suite.T, answers <-chan answer, why string) {
	select {
	case a := <-answers:
		t.Fatalf("Next did not wait although %s: version %q, %.200s, %v", why, a.state.Version, fmt.Sprintf("%q", textsOf(a.state)), a.err)
	case <-time.After(suite.Quiet):
	}
}

// wantResult demands that Next returns a state.
func wantResult(t *suite.T, answers <-chan answer, what string) config.State {
	select {
	case a := <-answers:
		if a.err != nil {
			t.Fatalf("%s: Next failed with %v", what, a.err)
		}
		return a.state
	case <-time.After(t.Patience()):
		t.Fatalf("%s: Next did not return within %v", what, t.Patience())
	}
	return config.State{}
}
