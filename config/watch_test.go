package config_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"fairlead.dev"
	"fairlead.dev/config"
)

// pair is valid only if both halves come from one Set.
type pair struct {
	Left, Right int
	Note        string `default:"none"`
}

func (p *pair) Validate() error {
	if p.Left < 0 {
		return errors.New("left is negative")
	}
	return nil
}

func both(n int) []config.Change {
	return []config.Change{put("left", strconv.Itoa(n)), put("right", strconv.Itoa(n))}
}

func TestWatchHotReload(t *testing.T) {
	p := open(t, "mem://")
	s := openSource(t, p)
	w := watch[pair](t, config.From(p, "app"))
	if *w.Get() != (pair{Note: "none"}) {
		t.Fatalf("at first %+v", *w.Get())
	}
	reach := func(want pair) {
		t.Helper()
		eventually(t, fmt.Sprintf("%+v", want), func() bool { return *w.Get() == want }, func() any { return *w.Get() })
	}
	set(t, s, append(both(1), put("note", ""))...)
	reach(pair{1, 1, ""})
	set(t, s, config.Delete("note"))
	reach(pair{1, 1, "none"})
	if err := w.Err(); err != nil {
		t.Error(err)
	}
}

func TestWatchLastGoodStays(t *testing.T) {
	p := open(t, "mem://")
	s := openSource(t, p)
	set(t, s, both(1)...)
	reported := make(chan error, 10)
	w := watch[pair](t, config.From(p, "app"), config.OnError(func(err error) { reported <- err }))
	for _, bad := range []struct{ key, value, word string }{
		{"left", "x", `"Left"`}, {"right", "", `"Right"`}, {"left", "-1", "negative"},
	} {
		set(t, s, put("note", "not applied"), put(bad.key, bad.value))
		err := receive(t, "a report", reported)
		var r *config.Rejected
		if !errors.As(err, &r) || !errors.Is(err, fairlead.Invalid) || !strings.Contains(err.Error(), bad.word) {
			t.Errorf("%v: reported %v", bad, err)
		}
		if w.Err() == nil || w.Health().Layers[0].Rejected == nil {
			t.Errorf("%v: health is %+v", bad, w.Health())
		}
		if *w.Get() != (pair{1, 1, "none"}) {
			t.Fatalf("%v was applied: %+v", bad, *w.Get())
		}
		set(t, s, append(both(1), config.Delete("note"))...)
		eventually(t, "recovery", func() bool { return w.Err() == nil }, func() any { return w.Health() })
	}
	set(t, s, append(both(2), config.Delete("note"))...)
	eventually(t, "recovery", func() bool { return w.Get().Left == 2 && w.Err() == nil }, func() any { return w.Health() })
	if h := w.Health(); h.Rejected != 3 || h.Applied == 0 {
		t.Errorf("health counts %+v", h)
	}
}

// A layer with rejected content does not delay other layers. Its content is applied
// once another layer makes the settings valid.
func TestWatchLayersAreIndependent(t *testing.T) {
	p := open(t, "mem://")
	low, err := config.Open(t.Context(), p, "low")
	if err != nil {
		t.Fatal(err)
	}
	defer low.Close(t.Context())
	high := openSource(t, p)
	reported := make(chan error, 10)
	w := watch[pair](t, config.From(p, "low"), config.From(p, "app"), config.OnError(func(err error) { reported <- err }))
	set(t, low, put("left", "-1"), put("right", "5"))
	receive(t, "a report", reported)
	set(t, high, put("note", "high"))
	eventually(t, "the other layer's change", func() bool { return *w.Get() == pair{Note: "high"} }, func() any { return *w.Get() })
	set(t, high, put("left", "3"))
	eventually(t, "both", func() bool { return *w.Get() == pair{3, 5, "high"} && w.Err() == nil }, func() any { return w.Health() })
}

func TestWatchCallbacks(t *testing.T) {
	p := open(t, "mem://")
	s := openSource(t, p)
	reported := make(chan error, 10)
	w := watch[pair](t, config.From(p, "app"), config.OnError(func(err error) { reported <- err; panic("contained") }))
	type change struct{ old, now pair }
	seen := make(chan change, 100)
	cancelled := w.OnChange(func(_, _ *pair) { t.Error("OnChange was called after it was canceled") })
	cancelled()
	w.OnChange(func(_, now *pair) {
		switch now.Left {
		case 2:
			panic("contained")
		case 3:
			runtime.Goexit()
		}
	})
	w.OnChange(func(old, now *pair) { seen <- change{*old, *now} })
	last := pair{Note: "none"}
	for i := range 5 {
		set(t, s, both(i+1)...)
		next := pair{i + 1, i + 1, "none"}
		if got := receive(t, "a change", seen); got != (change{last, next}) {
			t.Errorf("got %+v, want %+v → %+v", got, last, next)
		}
		last = next
	}
	if err := receive(t, "a report", reported); !strings.Contains(err.Error(), "panicked") {
		t.Errorf("reported %v", err)
	}
	set(t, s, put("unknown", "x"))
	eventually(t, "an update without a change", func() bool { return w.Health().Applied == 6 }, func() any { return w.Health() })
	if len(seen) > 0 {
		t.Error("OnChange was called without a change")
	}
}

// storm makes random updates, a tenth of them invalid, and checks that no reader
// ever sees halves of two updates, or an invalid update.
func storm(t *testing.T, p fairlead.Provider, updates int) {
	s := openSource(t, p, config.Require(config.Snapshot, config.AtomicSet))
	set(t, s, both(0)...)
	w := watch[pair](t, config.From(p, "app", config.Require(config.Snapshot)))
	done := make(chan struct{})
	var readers sync.WaitGroup
	for range 2 {
		readers.Go(func() { readPairs(t, w, done) })
	}
	last, invalid := 0, 0
	for i := range updates {
		changes := append(both(i), put("noise."+strconv.Itoa(rand.IntN(50)), strconv.Itoa(i)))
		if rand.IntN(10) == 0 {
			invalid++
			changes = []config.Change{put("left", strconv.Itoa(-i-1)), put("right", strconv.Itoa(i)), config.Delete("note")}
		} else {
			last = i
		}
		rand.Shuffle(len(changes), func(i, j int) { changes[i], changes[j] = changes[j], changes[i] })
		set(t, s, changes...)
	}
	set(t, s, both(updates)...)
	eventually(t, "the last update", func() bool { return w.Get().Left == updates && w.Err() == nil }, func() any { return w.Health() })
	close(done)
	readers.Wait()
	h := w.Health()
	t.Logf("%d updates (%d invalid, last valid %d): %d applied, %d rejected", updates, invalid, last, h.Applied, h.Rejected)
	if h.Rejected == 0 || h.Applied < 10 {
		t.Errorf("too few updates were seen for the test to show anything: %+v", h)
	}
}

func readPairs(t *testing.T, w *config.Watcher[pair], done <-chan struct{}) {
	for before := 0; ; {
		select {
		case <-done:
			return
		default:
		}
		switch p := w.Get(); {
		case p.Left != p.Right || p.Left < before:
			t.Errorf("a mix of updates, or an older one: %+v after %d", *p, before)
			return
		default:
			before = p.Left
		}
		time.Sleep(10 * time.Microsecond)
	}
}

func TestWatchStorm(t *testing.T) { storm(t, open(t, "mem://"), 2000) }

// The history is shorter than the number of changes between two listings.
func TestWatchStormCompacted(t *testing.T) { storm(t, open(t, "mem://?history=4"), 500) }

func TestWatchFile(t *testing.T) {
	path := file(t, "app.yaml", "left: 1\nright: 1")
	reported := make(chan error, 10)
	w := watch[pair](t, config.File(path), config.OnError(func(err error) { reported <- err }))
	replace := func(text string) {
		t.Helper()
		if err := os.WriteFile(path+".new", []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(path+".new", path); err != nil {
			t.Fatal(err)
		}
	}
	replace("left: 2\nright: 2")
	eventually(t, "the new file", func() bool { return w.Get().Left == 2 }, func() any { return w.Health() })
	replace("left: [")
	if err := receive(t, "a report", reported); !strings.Contains(err.Error(), "app.yaml") || w.Get().Left != 2 {
		t.Errorf("reported %v, holds %+v", err, *w.Get())
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if err := receive(t, "a report", reported); !errors.Is(err, fairlead.Unavailable) || w.Health().Layers[0].Unreachable == nil {
		t.Errorf("a removed file: reported %v", err)
	}
	replace("left: 2\nright: 2")
	eventually(t, "recovery", func() bool { return w.Err() == nil }, func() any { return w.Health() })
}

func TestWatchRefuses(t *testing.T) {
	_, err := config.Watch[pair](t.Context(), config.Map(map[string]any{"left": -1}))
	wantCode(t, err, fairlead.Invalid)
	p := open(t, "mem://")
	if err := p.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	_, err = config.Watch[pair](t.Context(), config.Env("NONE_"), config.From(p, "app"))
	wantCode(t, err, fairlead.Closed)
}

func TestWatchClose(t *testing.T) {
	p := open(t, "mem://")
	w, err := config.Watch[pair](t.Context(), config.From(p, "app"), config.File(file(t, "a.toml", "left = 4")))
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(t.Context()); err != nil || w.Get().Left != 4 {
		t.Errorf("the second Close: %v", err)
	}
}

func TestWatchCloseIsBoundedByItsContext(t *testing.T) {
	p := open(t, "mem://")
	w, err := config.Watch[pair](t.Context(), config.From(p, "app"))
	if err != nil {
		t.Fatal(err)
	}
	entered, release := make(chan struct{}), make(chan struct{})
	w.OnChange(func(_, _ *pair) { close(entered); <-release })
	set(t, openSource(t, p), both(1)...)
	<-entered
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	wantCode(t, w.Close(ctx), fairlead.DeadlineExceeded)
	close(release)
}
