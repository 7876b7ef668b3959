package gocloud_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"fairlead.dev"
	"fairlead.dev/config"
	"fairlead.dev/conformance"
)

// patience is how long to wait for an event that must happen.
const patience = 30 * time.Second

func openProvider(t *testing.T, url string) fairlead.Provider {
	t.Helper()
	p, err := fairlead.Open(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.Close(context.WithoutCancel(t.Context())) })
	return p
}

// replace replaces a file atomically, as careful programs do.
func replace(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path+".new", []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		t.Fatal(err)
	}
}

func TestFileConformance(t *testing.T) {
	url := "gocloud+file://" + t.TempDir()
	conformance.Test(t, func(ctx context.Context) (fairlead.Provider, error) { return fairlead.Open(ctx, url) })
}

// TestUnreadableIsNotMissing: filevar reports every file that it cannot open as
// missing. Settings that exist and cannot be read must not count as missing.
func TestUnreadableIsNotMissing(t *testing.T) {
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "app.json"), 0o700); err != nil {
		t.Fatal(err)
	}
	s := openSource(t, "gocloud+file://"+dir, "app")
	if _, err := s.Snapshot(t.Context()); !errors.Is(err, fairlead.Unavailable) {
		t.Errorf("a folder in the file's place: %v, want unavailable", err)
	}
}

func openSource(t *testing.T, url, name string) *config.Source {
	t.Helper()
	s, err := config.Open(t.Context(), openProvider(t, url), name)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close(context.WithoutCancel(t.Context())) })
	return s
}

// follow calls Next until a state fits. It retries after temporary errors.
func follow(t *testing.T, s *config.Source, what string, fits func(config.State, error) bool) config.State {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	version := ""
	for {
		state, err := s.Next(ctx, version)
		switch {
		case ctx.Err() != nil:
			t.Fatalf("never came: %s; last: %v", what, err)
		case fits(state, err):
			return state
		case err != nil:
			time.Sleep(10 * time.Millisecond)
		default:
			version = state.Version
		}
	}
}

func holds(key, value string) func(config.State, error) bool {
	return func(s config.State, err error) bool {
		v, ok := s.Values[key]
		return err == nil && ok && string(v.Data) == value
	}
}

// TestFileIsEditedLive follows a file through everything that editors and operators
// do to it.
func TestFileIsEditedLive(t *testing.T) {
	dir := t.TempDir()
	s := openSource(t, "gocloud+file://"+dir+"?format=yaml", "app")
	file := filepath.Join(dir, "app.yaml")

	if state, err := s.Snapshot(t.Context()); err != nil || len(state.Values) != 0 || state.Version == "" {
		t.Fatalf("a file that does not exist: %v, %v; want an empty state", state, err)
	}
	replace(t, file, "limits:\n  rate: 3\n  on: true\nname: first\nlist: [1, 2]\n")
	state := follow(t, s, "the file is made", holds("name", "first"))
	for key, want := range map[string]string{"limits.rate": "3", "limits.on": "true", "list": "[1,2]"} {
		if got := string(state.Values[key].Data); got != want {
			t.Errorf("%s is %q, want %q", key, got, want)
		}
	}
	replace(t, file, "name: renamed over\n")
	state = follow(t, s, "another file takes its place", holds("name", "renamed over"))
	if _, there := state.Values["limits.rate"]; there {
		t.Error("a setting that was taken out is still there")
	}
	if err := os.WriteFile(file, []byte("name: in place\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	follow(t, s, "the file is written in place", holds("name", "in place"))
	replace(t, file, "name: [unfinished\n")
	follow(t, s, "the file cannot be read", func(_ config.State, err error) bool {
		return errors.Is(err, fairlead.Internal)
	})
	replace(t, file, "name: mended\n")
	follow(t, s, "the file is mended", holds("name", "mended"))
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	follow(t, s, "the file is gone", func(s config.State, err error) bool { return err == nil && len(s.Values) == 0 })
	replace(t, file, "name: back\n")
	follow(t, s, "the file is back", holds("name", "back"))
}

// TestSymbolicLinkIsSwapped does what Kubernetes does to a mounted ConfigMap.
func TestSymbolicLinkIsSwapped(t *testing.T) {
	dir := t.TempDir()
	version := func(name, text string) {
		if err := os.Mkdir(filepath.Join(dir, name), 0o700); err != nil {
			t.Fatal(err)
		}
		replace(t, filepath.Join(dir, name, "app.json"), text)
		if err := os.Symlink(name, filepath.Join(dir, "data.new")); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(filepath.Join(dir, "data.new"), filepath.Join(dir, "data")); err != nil {
			t.Fatal(err)
		}
	}
	version("v1", `{"name":"one"}`)
	if err := os.Symlink("data/app.json", filepath.Join(dir, "app.json")); err != nil {
		t.Fatal(err)
	}
	s := openSource(t, "gocloud+file://"+dir, "app")
	follow(t, s, "the first version", holds("name", "one"))
	version("v2", `{"name":"two"}`)
	if err := os.RemoveAll(filepath.Join(dir, "v1")); err != nil {
		t.Fatal(err)
	}
	follow(t, s, "the second version", holds("name", "two"))
}

type settings struct {
	Name   string
	Limits struct{ Rate int }
}

// TestWatcherOverFile follows a file with the Watcher of package config.
func TestWatcherOverFile(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "app.json")
	replace(t, file, `{"name":"a","limits":{"rate":1}}`)
	w, err := config.Watch[settings](t.Context(), config.From(openProvider(t, "gocloud+file://"+dir), "app"))
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close(t.Context())
	replace(t, file, `{"name":"b","limits":{"rate":2}}`)
	for deadline := time.Now().Add(patience); w.Get().Limits.Rate != 2 || w.Get().Name != "b"; time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("the watcher still has %+v", w.Get())
		}
	}
}

func TestConstant(t *testing.T) {
	s := openSource(t, `gocloud+constant://?format=text&val=hello`, "any")
	v, err := s.Get(t.Context(), "value")
	if err != nil || string(v.Data) != "hello" {
		t.Errorf("got %q, %v", v.Data, err)
	}
	s = openSource(t, `gocloud+constant://?format=json&val=%EF%BB%BF{"n":9007199254740993}`, "any")
	v, err = s.Get(t.Context(), "n")
	if err != nil || string(v.Data) != "9007199254740993" {
		t.Errorf("the number is %q, %v", v.Data, err)
	}
}
