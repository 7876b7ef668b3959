package config_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"go.uber.org/goleak"

	"fairlead.dev"
	"fairlead.dev/config"
	_ "fairlead.dev/providers/memory"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience bounds the wait for an event that happens soon. It only affects how
// long a failing test takes.
const patience = 30 * time.Second

func open(t testing.TB, url string) fairlead.Provider {
	t.Helper()
	p, err := fairlead.Open(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.Close(context.WithoutCancel(t.Context())) }) // some tests have closed it
	return p
}

func openSource(t testing.TB, p fairlead.Provider, opts ...config.SourceOption) *config.Source {
	t.Helper()
	s, err := config.Open(t.Context(), p, "app", opts...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close(context.WithoutCancel(t.Context())) })
	return s
}

func set(t testing.TB, s *config.Source, changes ...config.Change) string {
	t.Helper()
	version, err := s.Set(t.Context(), changes...)
	if err != nil {
		t.Fatal(err)
	}
	return version
}

func put(key, value string) config.Change { return config.Put(key, []byte(value)) }

func watch[T any](t testing.TB, opts ...config.Option) *config.Watcher[T] {
	t.Helper()
	w, err := config.Watch[T](t.Context(), opts...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := w.Close(context.WithoutCancel(t.Context())); err != nil {
			t.Error(err)
		}
	})
	return w
}

// eventually polls until ok returns true. It fails the test with the result of
// state if that takes longer than patience.
func eventually(t testing.TB, what string, ok func() bool, state func() any) {
	t.Helper()
	for end := time.Now().Add(patience); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%s: not within %v; at the end %v", what, patience, state())
		}
	}
}

func wantCode(t testing.TB, err error, code fairlead.Code) {
	t.Helper()
	if fairlead.CodeOf(err) != code {
		t.Fatalf("got %v, want the code %q", err, code)
	}
}

func values(s config.State) string {
	m := map[string]string{}
	for key, v := range s.Values {
		m[key] = string(v.Data)
	}
	return fmt.Sprint(m)
}
