package kv_test

import (
	"context"
	"testing"

	"fairlead.dev"
	"fairlead.dev/internal/dev/testbed"
	"fairlead.dev/kv"
	_ "fairlead.dev/providers/etcd"
	_ "fairlead.dev/providers/redis"
)

// tellingBackends has functions that start the backends whose conflicts carry the
// present entry.
var tellingBackends = map[string]func(t *testing.T) (url string){
	"memory": func(*testing.T) string { return "mem://" },
	"redis":  func(t *testing.T) string { return testbed.Redis(t).URL() },
	"etcd":   func(t *testing.T) string { return testbed.Etcd(t).URL() },
}

func openAt(t *testing.T, url string) *kv.Store {
	t.Helper()
	p, err := fairlead.Open(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	s, err := kv.Open(t.Context(), p, "s")
	if err != nil {
		t.Fatal(err)
	}
	var opened fairlead.Closers
	opened.Add(p)
	opened.Add(s)
	t.Cleanup(func() {
		if err := opened.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return s
}

// TestConflictTellsTheCurrentEntry makes each conditional write fail, once while
// the key exists and once after it was deleted.
func TestConflictTellsTheCurrentEntry(t *testing.T) {
	for name, start := range tellingBackends {
		t.Run(name, func(t *testing.T) {
			s, ctx := openAt(t, start(t)), t.Context()
			stale, err := s.Put(ctx, "k", []byte("stale"))
			if err != nil {
				t.Fatal(err)
			}
			rev, err := s.Put(ctx, "k", []byte("now"))
			if err != nil {
				t.Fatal(err)
			}
			_, created := s.Create(ctx, "k", nil)
			_, swapped := s.CAS(ctx, "k", nil, stale)
			deleted := s.DeleteIf(ctx, "k", stale)
			for method, err := range map[string]error{"Create": created, "CAS": swapped, "DeleteIf": deleted} {
				wantCurrent(t, method, err, kv.Entry{Key: "k", Value: []byte("now"), Revision: rev})
			}
			if err := s.Delete(ctx, "k"); err != nil {
				t.Fatal(err)
			}
			_, swapped = s.CAS(ctx, "k", nil, rev)
			wantCurrent(t, "CAS of a deleted key", swapped, kv.Entry{Key: "k"})
		})
	}
}

func wantCurrent(t *testing.T, what string, err error, want kv.Entry) {
	t.Helper()
	e, told := kv.Current(err)
	if !told || fairlead.CodeOf(err) != fairlead.Conflict {
		t.Errorf("%s: told: %v; %v", what, told, err)
	}
	if e.Key != want.Key || string(e.Value) != string(want.Value) || e.Revision != want.Revision {
		t.Errorf("%s tells %+v, want %+v", what, e, want)
	}
}

func TestNothingIsToldWithoutAConflict(t *testing.T) {
	s := open(t)
	_, missing := s.Get(t.Context(), "k")
	for _, err := range []error{nil, missing, kv.ErrConflict} {
		if e, told := kv.Current(err); told {
			t.Errorf("%v tells %+v", err, e)
		}
	}
}
