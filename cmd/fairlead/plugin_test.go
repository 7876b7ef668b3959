package main

import (
	"context"
	"encoding/json"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"fairlead.dev/conformance"
	"fairlead.dev/internal/dev/testbed"
	"fairlead.dev/plugins"
	"fairlead.dev/providers"
)

// binaries are the plugins of this repository, built once.
var binaries struct {
	sync.Once
	dir string
	err error
}

// TestMain runs the command instead of the tests where a test asks for it, to kill it.
func TestMain(m *testing.M) {
	if args := os.Getenv(commandVar); args != "" {
		os.Exit(run(context.Background(), strings.Fields(args), os.Stdout, os.Stderr))
	}
	code := m.Run()
	if binaries.dir != "" {
		_ = os.RemoveAll(binaries.dir)
	}
	os.Exit(code)
}

// binary returns the path of a plugin's binary.
func binary(t *testing.T, name string) string {
	t.Helper()
	binaries.Do(func() {
		if binaries.dir, binaries.err = os.MkdirTemp("", "fairlead-binaries"); binaries.err != nil {
			return
		}
		cmd := exec.Command("go", "build", "-o", binaries.dir+"/", "fairlead.dev/cmd/fairlead-memory", "fairlead.dev/cmd/fairlead-redis")
		cmd.Stderr = os.Stderr
		binaries.err = cmd.Run()
	})
	if binaries.err != nil {
		t.Fatal(binaries.err)
	}
	return filepath.Join(binaries.dir, name)
}

// pluginFolder makes an empty folder the only plugin folder.
func pluginFolder(t *testing.T) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "plugins")
	t.Setenv(plugins.PathEnv, dir)
	return dir
}

// want runs the command and demands an exit code, and parts of what it prints.
func want(t *testing.T, code int, args string, says ...string) (stdout string) {
	t.Helper()
	got, stdout, stderr := runCommand(t, strings.Fields(args)...)
	if got != code {
		t.Fatalf("fairlead %s: exit code %d, want %d\n%s%s", args, got, code, stdout, stderr)
	}
	for _, s := range says {
		if !strings.Contains(stdout+stderr, s) {
			t.Errorf("fairlead %s: does not say %q:\n%s%s", args, s, stdout, stderr)
		}
	}
	return stdout
}

// TestPluginLife is what an operator does, from nothing to a refusal.
func TestPluginLife(t *testing.T) {
	dir := pluginFolder(t)
	want(t, exitOK, "plugin list", "no plugin in "+dir+"; install one with: fairlead plugin install BINARY")
	want(t, exitFailure, "plugin verify", "there is no plugin in "+dir)
	want(t, exitUsage, "plugin describe memory", `there is no plugin "memory" in `+dir)

	want(t, exitOK, "plugin install "+binary(t, "fairlead-memory"), "installed "+dir+"/fairlead-memory: plugin+mem://")
	want(t, exitOK, "plugin list", "memory", "plugin+mem://", "none")
	want(t, exitOK, "plugin describe memory", "plugin+mem://", "dedupe-window", "duration, at least 1ms", "int, 1 to 1000000000", "2m", "how long a topic remembers")
	want(t, exitOK, "plugin verify", dir+"/fairlead-memory", "none")
	want(t, exitOK, "plugin verify memory", "none")
	want(t, exitUsage, "plugin verify redis", `there is no plugin "redis" in `+dir+"; installed: memory")

	appendTo(t, filepath.Join(dir, "fairlead-memory"), "changed")
	want(t, exitFailure, "plugin verify", "the checksum of", "install the plugin again if you trust the file", "1 of 1 plugins refused: [memory]")
	want(t, exitFailure, "plugin run memory -- --manifest", "the checksum of")
	want(t, exitFailure, "describe plugin+mem://", "the checksum of")
}

func appendTo(t *testing.T, file, text string) {
	t.Helper()
	if err := os.WriteFile(file, append(read(t, file), text...), 0o755); err != nil {
		t.Fatal(err)
	}
}

func TestPluginJSON(t *testing.T) {
	dir := pluginFolder(t)
	if out := want(t, exitOK, "plugin list --json"); strings.TrimSpace(out) != "[]" {
		t.Errorf("without plugins: %s", out)
	}
	var one installed
	var many []installed
	for _, args := range []string{"install --json " + binary(t, "fairlead-memory"), "describe memory --json"} {
		one = installed{}
		if err := json.Unmarshal([]byte(want(t, exitOK, "plugin "+args)), &one); err != nil || one.Name != "memory" || one.Dir != dir || one.Problem != "" {
			t.Errorf("%s: %+v, %v", args, one, err)
		}
	}
	appendTo(t, one.Path, "changed")
	for args, code := range map[string]int{"list": exitOK, "verify": exitFailure} {
		many = nil
		if err := json.Unmarshal([]byte(want(t, code, "plugin "+args+" --json")), &many); err != nil || len(many) != 1 || many[0].SHA256 != one.SHA256 || (many[0].Problem != "") != (code == exitFailure) {
			t.Errorf("%s: %+v, %v", args, many, err)
		}
	}
}

// TestPluginHidden: a plugin that one of the same name hides is shown, and
// does no harm.
func TestPluginHidden(t *testing.T) {
	first, second := pluginFolder(t), filepath.Join(t.TempDir(), "system")
	want(t, exitOK, "plugin install "+binary(t, "fairlead-memory"))
	want(t, exitOK, "plugin install --dir "+second+" "+binary(t, "fairlead-memory"))
	t.Setenv(plugins.PathEnv, first+string(filepath.ListSeparator)+second)
	want(t, exitOK, "plugin list", first, second, "hides it")
	want(t, exitOK, "plugin verify", first)
}

func TestPluginRefusals(t *testing.T) {
	dir := pluginFolder(t)
	want(t, exitUsage, "plugin", `"fairlead plugin" takes a command: one of describe, install, list, run, verify`)
	want(t, exitUsage, "plugin install", "takes one argument, the path of a plugin's binary")
	want(t, exitUsage, "plugin install "+dir+"/none", "no such file")
	want(t, exitUsage, "plugin install /bin/true", "true --manifest")
	want(t, exitUsage, "plugin run", "takes the name of a plugin and the flags for it, got 0")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "fairlead-odd.json"), []byte("{"), 0o644); err != nil {
		t.Fatal(err)
	}
	want(t, exitOK, "plugin list", "odd", "the file ends before the JSON object does")
	want(t, exitFailure, "plugin describe odd", "fairlead-odd.json")
	want(t, exitFailure, "plugin verify odd", "1 of 1 plugins refused: [odd]")
}

func TestPluginRun(t *testing.T) {
	pluginFolder(t)
	want(t, exitOK, "plugin install "+binary(t, "fairlead-memory"))
	for _, args := range []string{"plugin run memory -- --manifest", "plugin run memory --manifest"} {
		m, err := plugins.ParseManifest("manifest", []byte(want(t, exitOK, args)))
		if err != nil || m.Name != "memory" {
			t.Errorf("%s: %+v, %v", args, m, err)
		}
	}
	want(t, exitUsage, "plugin run memory -- --no-such-flag", "no-such-flag")
}

// TestPluginRunSidecar runs a plugin until it is interrupted.
func TestPluginRunSidecar(t *testing.T) {
	pluginFolder(t)
	want(t, exitOK, "plugin install "+binary(t, "fairlead-memory"))
	socket := filepath.Join(t.TempDir(), "s")
	ctx, interrupt := context.WithCancel(t.Context())
	defer interrupt()
	ended := make(chan int, 1)
	go func() {
		ended <- run(ctx, []string{"plugin", "run", "memory", "--", "--listen", "unix://" + socket, "--url", "mem://"}, io.Discard, io.Discard)
	}()
	want(t, exitOK, "describe sidecar+unix://"+socket, "memory", "kv.CAS") // waits until it is there
	wantTransport(t, "sidecar+unix://"+socket, sidecar)
	interrupt()
	select {
	case code := <-ended:
		if code != exitOK {
			t.Errorf("exit code %d of an interrupted sidecar", code)
		}
	case <-time.After(drainTimeout):
		t.Error("the sidecar does not end")
	}
}

// TestPluginConformance runs the suite over a plugin's process, and asks a
// plugin about a real server.
func TestPluginConformance(t *testing.T) {
	pluginFolder(t)
	want(t, exitOK, "plugin install "+binary(t, "fairlead-memory"))
	want(t, exitOK, "plugin install "+binary(t, "fairlead-redis"))
	wantTransport(t, "plugin+mem://", process)
	want(t, exitOK, "describe plugin+"+testbed.Redis(t).URL(), "redis 7", "kv.WatchTxn")
	want(t, exitUsage, "describe plugin+redis://127.0.0.1?pool-size=many", `setting "pool-size"`)
	found, _ := runDoctorOn(t, nil, exitOK, "plugin+"+testbed.Redis(t, testbed.RedisConf("appendfsync everysec")).URL())
	wantFinding(t, found, providers.CheckDial, providers.CheckOK, "connected")
	wantFinding(t, found, providers.CheckPermissions, providers.CheckNotTold, "the provider")
	wantFinding(t, found, providers.CheckVersion, providers.CheckOK, "7.")
	wantFinding(t, found, providers.CheckDurability, providers.CheckWarning, "appendfsync is everysec")
	want(t, exitUsage, "conformance plugin+mem:// --transport loopback", "the URL names a process")
}

func TestTransports(t *testing.T) {
	wantTransport(t, "mem://", direct)
	wantTransport(t, "mem:// --transport direct", direct)
	wantTransport(t, "mem:// --transport loopback", loopback)
	wantTransport(t, "mem:// --transport loopback-stream", loopbackStream)
	want(t, exitUsage, "conformance mem:// --transport tcp", "accepted: direct, loopback, loopback-stream")
}

// wantTransport runs some cases and looks what the report says.
func wantTransport(t *testing.T, args, want string) {
	t.Helper()
	code, stdout, stderr := runCommand(t, append([]string{"conformance", "--run", "^(kv/put-get|open/describe-names)$", "--json", "-"}, strings.Fields(args)...)...)
	var report conformance.Report
	if err := json.Unmarshal([]byte(stdout), &report); err != nil || code != exitOK {
		t.Fatalf("conformance %s: exit code %d, %v\n%s%s", args, code, err, stdout, stderr)
	}
	if report.Transport != want || report.Count(conformance.Passed) != 2 {
		t.Errorf("conformance %s: transport %q, want %q; %d cases passed", args, report.Transport, want, report.Count(conformance.Passed))
	}
}
