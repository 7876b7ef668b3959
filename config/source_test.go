package config_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"fairlead.dev"
	"fairlead.dev/config"
)

func TestSourceSetGetDelete(t *testing.T) {
	s := openSource(t, open(t, "mem://"), config.Require(config.Snapshot, config.AtomicSet, config.CompareAndSet))
	empty, err := s.Snapshot(t.Context())
	if err != nil || empty.Version == "" || len(empty.Values) != 0 {
		t.Fatalf("an unused name is %+v, %v; want an empty state", empty, err)
	}
	version := set(t, s, put("a", "1"), put("b", ""))
	state, err := s.Snapshot(t.Context())
	if err != nil || values(state) != "map[a:1 b:]" || state.Version != version {
		t.Fatalf("got %s %q %v, want both keys at version %q", values(state), state.Version, err, version)
	}
	if v, err := s.Get(t.Context(), "b"); err != nil || len(v.Data) != 0 {
		t.Fatalf("an empty value is %q, %v", v.Data, err)
	}
	set(t, s, config.Delete("b"), config.Delete("never"))
	_, err = s.Get(t.Context(), "b")
	wantCode(t, err, fairlead.NotFound)
}

func TestSourceCompareAndSet(t *testing.T) {
	s := openSource(t, open(t, "mem://"))
	set(t, s, config.Create("a", []byte("1")))
	first, err := s.Get(t.Context(), "a")
	if err != nil {
		t.Fatal(err)
	}
	set(t, s, put("a", "2"))
	for name, change := range map[string]config.Change{
		"create of an existing key": config.Create("a", []byte("x")),
		"put of an old version":     config.PutIf("a", []byte("x"), first.Version),
		"delete of an old version":  config.DeleteIf("a", first.Version),
	} {
		_, err := s.Set(t.Context(), put("other", "x"), change)
		if fairlead.CodeOf(err) != fairlead.Conflict {
			t.Errorf("%s: got %v, want a conflict", name, err)
		}
	}
	state, err := s.Snapshot(t.Context())
	if err != nil || values(state) != "map[a:2]" {
		t.Fatalf("after conflicts: %s, %v", values(state), err)
	}
	set(t, s, config.DeleteIf("a", state.Values["a"].Version))
}

func TestSourceNext(t *testing.T) {
	p := open(t, "mem://")
	s, writer := openSource(t, p), openSource(t, p)
	known, err := s.Next(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	for _, value := range []string{"1", "2", ""} {
		next := make(chan config.State, 1)
		go func() {
			state, err := s.Next(t.Context(), known.Version)
			if err != nil {
				t.Error(err)
			}
			next <- state
		}()
		set(t, writer, put("a", value), put("b", value))
		state := <-next
		if got := values(state); got != "map[a:"+value+" b:"+value+"]" {
			t.Fatalf("after setting both to %q: %s", value, got)
		}
		known = state
	}
	short, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	_, err = s.Next(short, known.Version)
	wantCode(t, err, fairlead.DeadlineExceeded)
}

// A caller whose version is newer than the state that the source follows must not
// get an older state.
func TestSourceNextNeverGoesBack(t *testing.T) {
	p := open(t, "mem://")
	s, writer := openSource(t, p), openSource(t, p)
	if _, err := s.Next(t.Context(), ""); err != nil {
		t.Fatal(err)
	}
	for range 100 {
		version := set(t, writer, put("a", time.Now().String()))
		short, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		state, err := s.Next(short, version)
		cancel()
		if err == nil {
			t.Fatalf("Next with the present version returned %q", state.Version)
		}
	}
}

func TestSourceManyWaiters(t *testing.T) {
	s := openSource(t, open(t, "mem://"))
	start, err := s.Snapshot(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	got := make(chan error)
	for range 8 {
		go func() {
			_, err := s.Next(t.Context(), start.Version)
			got <- err
		}()
	}
	set(t, s, put("a", "1"))
	for range 8 {
		if err := <-got; err != nil {
			t.Error(err)
		}
	}
}

func TestSourceCompaction(t *testing.T) {
	p := open(t, "mem://?history=4")
	s, writer := openSource(t, p), openSource(t, p)
	known, err := s.Next(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	for range 100 {
		set(t, writer, put("a", time.Now().String()), put("gone", "x"))
	}
	set(t, writer, put("a", "last"), config.Delete("gone"))
	for range 200 {
		if known, err = s.Next(t.Context(), known.Version); err != nil {
			t.Fatal(err)
		}
		if values(known) == "map[a:last]" {
			return
		}
	}
	t.Fatalf("after the history was lost: %s", values(known))
}

func TestSourceWatch(t *testing.T) {
	s := openSource(t, open(t, "mem://"))
	set(t, s, put("n", "0"))
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var seen []string
	for state, err := range s.Watch(ctx, "") {
		if err != nil {
			wantCode(t, err, fairlead.Canceled)
			break
		}
		seen = append(seen, string(state.Values["n"].Data))
		if len(seen) == 3 {
			cancel()
			continue
		}
		set(t, s, put("n", strings.Repeat("i", len(seen))))
	}
	if got := strings.Join(seen, ","); got != "0,i,ii" {
		t.Errorf("watched %s", got)
	}
}

func TestSourceClose(t *testing.T) {
	s := openSource(t, open(t, "mem://"))
	state, err := s.Snapshot(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error)
	go func() {
		_, err := s.Next(t.Context(), state.Version)
		ended <- err
	}()
	if err := s.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	wantCode(t, <-ended, fairlead.Closed)
	_, err = s.Set(t.Context(), put("a", "1"))
	wantCode(t, err, fairlead.Closed)
	if err := s.Close(t.Context()); err != nil {
		t.Fatalf("the second Close: %v", err)
	}
}

func TestSourceRefuses(t *testing.T) {
	s := openSource(t, open(t, "mem://"))
	long := strings.Repeat("k", 513)
	for name, c := range map[string]struct {
		changes []config.Change
		code    fairlead.Code
		words   string
	}{
		"nothing":                {nil, fairlead.Invalid, "at least one"},
		"empty key":              {[]config.Change{put("", "x")}, fairlead.Invalid, "empty"},
		"long key":               {[]config.Change{put(long, "x")}, fairlead.TooLarge, "513"},
		"not UTF-8":              {[]config.Change{put("\xff", "x")}, fairlead.Invalid, "UTF-8"},
		"twice":                  {[]config.Change{put("a", "x"), config.Delete("a")}, fairlead.Invalid, `"a"`},
		"delete without version": {[]config.Change{config.DeleteIf("a", "")}, fairlead.Invalid, "version"},
		"large value":            {[]config.Change{config.Put("a", make([]byte, 64<<20+1))}, fairlead.TooLarge, `"a"`},
	} {
		_, err := s.Set(t.Context(), c.changes...)
		if fairlead.CodeOf(err) != c.code || !strings.Contains(err.Error(), c.words) ||
			!strings.HasPrefix(err.Error(), "config.Set: memory: ") {
			t.Errorf("%s: got %v", name, err)
		}
	}
	var many []config.Change
	for i := range 10_001 {
		many = append(many, put(strings.Repeat("x", i%500+1)+string(rune('a'+i/500)), ""))
	}
	_, err := s.Set(t.Context(), many...)
	wantCode(t, err, fairlead.TooLarge)
}

func TestOpenRefuses(t *testing.T) {
	p := open(t, "mem://")
	_, err := config.Open(t.Context(), p, "no/slash")
	wantCode(t, err, fairlead.Invalid)
	_, err = config.Open(t.Context(), nil, "app")
	wantCode(t, err, fairlead.Invalid)
	_, err = config.Open(t.Context(), p, "app", config.Require(config.Snapshot, fairlead.DurableFsync))
	wantCode(t, err, fairlead.Unsupported)
	if !strings.Contains(err.Error(), "DurableFsync") {
		t.Errorf("the error does not name what is missing: %v", err)
	}
	_, err = config.Open(t.Context(), p, "app", config.Require(nil))
	wantCode(t, err, fairlead.Invalid)
}
