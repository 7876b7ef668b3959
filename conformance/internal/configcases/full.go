package configcases

import (
	"time"

	"fairlead.dev/config"
	"fairlead.dev/conformance/internal/suite"
)

// fullCases are about a backend that has no space for another setting.
var fullCases = []suite.Case{{
	Name: "config/full", Needs: writable, Fill: true, Full: true, Timeout: 2 * time.Minute,
	Rule: "on a full backend, settings are read, and Set fails with Unavailable and the word full and changes nothing; a Watcher keeps its settings, and gets what is set when there is space again",
	Run:  testFull,
}}

func testFull(t *suite.T) {
	s, w, _ := watchTyped(t, "name", "before")
	free := t.Fill()
	var err error
	for began := time.Now(); err == nil; t.CheckFilled(began) {
		_, err = s.Set(t.PatientContext(), config.Put("filling", make([]byte, 64<<10)))
	}
	t.WantFull("Set", err)
	if _, err = s.Set(t.PatientContext(), config.Put("name", []byte("refused"))); err != nil {
		t.WantFull("Set", err)
		if got := textsOf(takeSnapshot(t, s))["name"]; got != "before" {
			t.Errorf("the setting is %q after a Set that was refused, want before", got)
		}
		wantTyped(t, "while the backend is full", *w.Get(), "before", 1, "")
	}
	free()
	t.Eventually(t.Patience(), "a setting can be set when there is space again", func() bool {
		_, err := s.Set(t.Within(2*time.Second), config.Put("name", []byte("after")))
		return err == nil
	})
	t.Eventually(t.Patience(), "the watcher has what was set when there was space again", func() bool { return w.Get().Name == "after" })
}
