package auto_test

import (
	"context"
	"errors"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"fairlead.dev"
	"fairlead.dev/kv"
	"fairlead.dev/plugins"
	"fairlead.dev/plugins/auto"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// This program links no provider: plugins serve both URLs.
func TestOpenFindsPlugins(t *testing.T) {
	dir := t.TempDir()
	t.Setenv(plugins.PathEnv, dir)
	for url, want := range map[string]string{
		"mem://":        `unknown URL scheme "mem"`,
		"plugin+mem://": `there is no plugin for "mem" in ` + dir,
	} {
		if _, err := fairlead.Open(t.Context(), url); !errors.Is(err, fairlead.Invalid) || !strings.Contains(err.Error(), want) {
			t.Errorf("%s without a plugin: got %v, want Invalid with %q", url, err, want)
		}
	}
	binary := filepath.Join(t.TempDir(), "fairlead-memory")
	if out, err := exec.Command("go", "build", "-o", binary, "fairlead.dev/cmd/fairlead-memory").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if _, err := plugins.Install(t.Context(), binary, dir); err != nil {
		t.Fatal(err)
	}
	for _, url := range []string{"mem://", "plugin+mem://"} {
		p, err := fairlead.Open(t.Context(), url)
		if err != nil {
			t.Fatal(err)
		}
		s, err := kv.Open(t.Context(), p, "users")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.Put(t.Context(), "ann", []byte("1")); err != nil {
			t.Error(err)
		}
		if st := auto.Host().Status(); len(st) != 1 || st[0].State != plugins.Running {
			t.Errorf("status %+v, want one running plugin", st)
		}
		if err := errors.Join(s.Close(t.Context()), p.Close(t.Context())); err != nil {
			t.Error(err)
		}
	}
	if err := auto.Host().Close(context.Background()); err != nil {
		t.Error(err)
	}
}
