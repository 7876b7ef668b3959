package configcases

import (
	"fmt"
	"strconv"
	"time"

	"fairlead.dev"
	"fairlead.dev/config"
	"fairlead.dev/conformance/internal/suite"
)

// restartCases kill the backend.
var restartCases = []suite.Case{
	{
		Name: "config/restart-next", Needs: writable, Control: true, Timeout: 2 * time.Minute,
		Rule: "while the backend is down, Next fails with Unavailable within seconds; called again with the same version, it returns the settings that are set afterwards",
		Run:  testRestartNext,
	},
	{
		Name: "config/restart-watch", Needs: writable, Control: true, Timeout: 2 * time.Minute,
		Rule: "a Watcher keeps its settings while the backend is down, reports the outage within seconds, and catches up",
		Run:  testRestartWatch,
	},
	durableSettings("config/durable-fsync", fairlead.DurableFsync),
	durableSettings("config/durable-quorum", fairlead.DurableQuorum),
}

func durableSettings(name string, claim fairlead.Claim) suite.Case {
	return suite.Case{
		Name: name, Needs: withWrite(claim), Control: true, Timeout: 2 * time.Minute,
		Rule: "settings whose Set was acknowledged survive a kill of the backend",
		Run:  testDurable,
	}
}

// killUntilDown kills the backend, and waits until calls fail.
func killUntilDown(t *suite.T, s *config.Source) {
	t.Must(t.Control().Kill(t.Context()))
	t.WaitUntilDown(t.Patience(), func() bool {
		_, err := s.Snapshot(t.Within(time.Second))
		return err != nil
	})
}

// startUntilUp starts the backend, and waits until a setting can be set. It returns the
// version.
func startUntilUp(t *suite.T, s *config.Source, key, value string) string {
	t.Must(t.Control().Start(t.Context()))
	version := ""
	t.Eventually(20*time.Second, "a setting can be set after the start", func() bool {
		v, err := s.Set(t.Within(2*time.Second), config.Put(key, []byte(value)))
		version = v
		return err == nil
	})
	return version
}

func testRestartNext(t *suite.T) {
	name := t.Name()
	s, writer := t.Source(name), t.Source(name)
	version := setTexts(t, s, "k", "before")
	answers := startNext(t, s, version)
	killUntilDown(t, writer)
	select {
	case a := <-answers:
		t.WantCode("Next while the backend is down", a.err, fairlead.Unavailable)
	case <-time.After(t.Patience()):
		t.Errorf("Next did not fail within %v while the backend was down", t.Patience())
	}
	startUntilUp(t, writer, "k", "after")
	t.Eventually(t.Patience(), "Next reaches what was set after the restart", func() bool {
		state, err := s.Next(t.Within(time.Second), version)
		return err == nil && textsOf(state)["k"] == "after"
	})
}

func testRestartWatch(t *suite.T) {
	s, w, _ := watchTyped(t, "name", "before")
	killUntilDown(t, s)
	t.Eventually(20*time.Second, "the watcher says that the backend is down", func() bool { return w.Err() != nil })
	wantTyped(t, "while the backend is down", *w.Get(), "before", 1, "")
	startUntilUp(t, s, "name", "after")
	t.Eventually(20*time.Second, "the watcher has what was set after the restart", func() bool { return w.Get().Name == "after" })
	t.Eventually(20*time.Second, "the watcher says that nothing is wrong", func() bool { return w.Err() == nil })
}

func testDurable(t *suite.T) {
	name := t.Name()
	s := t.Source(name)
	for i := range 50 {
		setTexts(t, s, fmt.Sprintf("k%d", i), strconv.Itoa(i))
	}
	setChanges(t, s, config.Delete("k0"), config.Put("k1", nil))
	killUntilDown(t, s)
	startUntilUp(t, s, "after", "the start")
	t.LookedFor(51)
	for _, handle := range []*config.Source{s, t.Source(name)} {
		got := textsOf(takeSnapshot(t, handle))
		for i := 2; i < 50; i++ {
			if got[fmt.Sprintf("k%d", i)] != strconv.Itoa(i) {
				t.Errorf("the setting k%d, which was acknowledged, is lost", i)
			}
		}
		_, back := got["k0"]
		if value, there := got["k1"]; back || !there || value != "" {
			t.Errorf("the last Set, which was acknowledged, is lost: k0 is there: %v; k1 is there: %v, with %q", back, there, value)
		}
	}
}
