package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// checkout is the folder of this repository.
func checkout(t *testing.T) string {
	t.Helper()
	dir, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

// TestNewProvider writes a module as a newcomer does, and does with it what
// its README says.
func TestNewProvider(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "made", "acme")
	code, stdout, stderr := runCommand(t, "new", "provider", "acme", "--dir", dir, "--module", "example.com/deep/acme", "--fairlead", checkout(t))
	if code != exitOK || !strings.Contains(stdout, "the module example.com/deep/acme with the provider acme://") {
		t.Fatalf("exit code %d\n%s%s", code, stdout, stderr)
	}
	if out := command(t, dir, true, "gofmt", "-l", "."); out != "" {
		t.Errorf("not gofmt-ed: %s", out)
	}
	command(t, dir, true, "go", "vet", "./...")
	if out := command(t, dir, true, "go", "test", "-v", "./..."); !strings.Contains(out, "fairlead-provider-ran: acme direct") || !strings.Contains(out, "fairlead-provider-ran: acme loopback") || !strings.Contains(out, "PASS: TestConformance/kv/list-pages") {
		t.Errorf("the suite was not run:\n%s", out)
	}
	if out := command(t, dir, true, "go", "test", "-v", "-run", "TestConformance$/kv/list-pages$", "."); !strings.Contains(out, "PASS: TestConformance/kv/list-pages") || !strings.Contains(out, "cases=1\n") {
		t.Errorf("not one case was run:\n%s", out)
	}
	wantInstallable(t, dir, "acme")
	claimTooMuch(t, filepath.Join(dir, "provider.go"))
	if out := command(t, dir, false, "go", "test", "./..."); !strings.Contains(out, "FAIL: TestConformance/kv/watch") {
		t.Errorf("the suite does not fail for a claim that does not hold:\n%s", out)
	}
}

// wantInstallable builds the plugin, installs it, and runs the suite over its
// process.
func wantInstallable(t *testing.T, dir, name string) {
	t.Helper()
	command(t, dir, true, "make", "build")
	pluginFolder(t)
	want(t, exitOK, "plugin install "+filepath.Join(dir, "bin", "fairlead-"+name))
	want(t, exitOK, "conformance plugin+"+name+"://", "kv/list-pages", "("+process+", profile full", "conforms in what was run")
}

// claimTooMuch makes the mistake that the suite is there for.
func claimTooMuch(t *testing.T, file string) {
	t.Helper()
	changed := bytes.Replace(read(t, file), []byte("driver.ClaimManage}"), []byte("driver.ClaimManage, driver.ClaimWatch}"), 1)
	if err := os.WriteFile(file, changed, 0o644); err != nil {
		t.Fatal(err)
	}
}

// command runs a program in a folder, demands that it succeeds or fails, and
// returns what it printed.
func command(t *testing.T, dir string, succeeds bool, name string, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), name, args...)
	cmd.Dir = dir
	out, err := cmd.CombinedOutput()
	if (err == nil) != succeeds {
		t.Fatalf("%s: %v\n%s", cmd, err, out)
	}
	return string(out)
}

func TestNewProviderRefusals(t *testing.T) {
	there, checkout := t.TempDir(), checkout(t)
	for _, c := range []struct {
		name string
		args []string
		says string
	}{
		{"no name", nil, `takes one argument, the name of the provider, got 0; for example: fairlead new provider acme`},
		{"capitals", []string{"Acme"}, `the name "Acme"`},
		{"digit first", []string{"3scale"}, "a letter first"},
		{"hyphen", []string{"my-kv"}, "use lower-case letters and digits"},
		{"empty", []string{""}, "use lower-case letters and digits"},
		{"keyword", []string{"func"}, "choose another name, for example myfunc"},
		{"main", []string{"main"}, "choose another name, for example mymain"},
		{"taken", []string{"redis"}, "a provider of Fairlead has the scheme redis:// already"},
		{"exists", []string{"acme", "--dir", there, "--fairlead", checkout}, "exists already: give another one with --dir, or remove it"},
		{"bad module", []string{"acme", "--module", "not a path", "--fairlead", checkout}, "--module: malformed module path"},
		{"our module", []string{"acme", "--module", "fairlead.dev/acme", "--fairlead", checkout}, "belongs to Fairlead itself"},
		{"no checkout", []string{"acme", "--fairlead", there}, "which is not a checkout of fairlead.dev"},
		{"development build", []string{"acme"}, "give --fairlead FOLDER"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Chdir(t.TempDir())
			code, stdout, stderr := runCommand(t, append([]string{"new", "provider"}, c.args...)...)
			if code != exitUsage || stdout != "" || !strings.Contains(stderr, c.says) {
				t.Errorf("exit code %d, want %d and %q; printed\n%s%s", code, exitUsage, c.says, stdout, stderr)
			}
			if left, _ := os.ReadDir("."); len(left) > 0 {
				t.Errorf("files that were not removed: %v", left)
			}
		})
	}
}
