package plugins_test

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"fairlead.dev"
	"fairlead.dev/conformance"
	"fairlead.dev/plugins"
)

//go:generate node ../examples/provider-node/scripts/proto.js

// nodeExample is a plugin in another language.
const nodeExample = "../examples/provider-node"

// TestNodeConformance runs the suite over a plugin in Node.js, whose process the
// suite kills.
func TestNodeConformance(t *testing.T) {
	n := newNode(t)
	opened := func(ctx context.Context) (fairlead.Provider, error) {
		return n.host.Open(ctx, "plugin+lmdb://"+n.data)
	}
	report := conformance.Test(t, opened, conformance.WithControl(n), conformance.WithTransport("process"))
	kv, _ := report.Description.Facet(fairlead.KV)
	if !kv.Has(fairlead.DurableFsync) {
		t.Errorf("DurableFsync is not claimed: %v", kv.Missing)
	}
}

// TestNodeProtocol compares the plugin's copy of the protocol with the protocol
// of this package.
func TestNodeProtocol(t *testing.T) {
	files, err := filepath.Glob("proto/fairlead/plugin/v*/*.proto")
	if err != nil || len(files) == 0 {
		t.Fatalf("no protocol: %v", err)
	}
	for _, f := range files {
		want, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		if got, _ := os.ReadFile(filepath.Join(nodeExample, f)); string(got) != string(want) {
			t.Errorf("%s is not the same in %s: run make generate", f, nodeExample)
		}
	}
}

// TestNodeUnits runs the plugin's own tests.
func TestNodeUnits(t *testing.T) {
	runIn(t, checkout(t), "npm", "test")
}

// node is the plugin in Node.js, installed, with a host that uses it.
type node struct {
	folder string // of plugins
	data   string // of the database
	host   *plugins.Host
}

func newNode(t *testing.T) *node {
	n := &node{folder: onDisk(t), data: onDisk(t)}
	runIn(t, checkout(t), "node", "scripts/install.js", n.folder)
	n.host = newHost(t, plugins.WithFolders(n.folder), eager)
	return n
}

// checkout returns a copy of the example with its packages.
func checkout(t *testing.T) string {
	dir := t.TempDir()
	files, err := os.ReadDir(nodeExample)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		if f.Name() != "node_modules" {
			runIn(t, nodeExample, "cp", "-r", f.Name(), dir)
		}
	}
	if err := os.Symlink(packages(t), filepath.Join(dir, "node_modules")); err != nil {
		t.Fatal(err)
	}
	return dir
}

// packages returns the folder of the packages that the plugin needs. They are
// fetched once, and kept for as long as the lock file stays the same.
func packages(t *testing.T) string {
	lock, err := os.ReadFile(filepath.Join(nodeExample, "package-lock.json"))
	if err != nil {
		t.Fatal(err)
	}
	kept := filepath.Join(cache(t), fmt.Sprintf("fairlead-node-%x", sha256.Sum256(lock))[:30])
	if _, err := os.Stat(kept); err == nil {
		return filepath.Join(kept, "node_modules")
	}
	fetched := onDisk(t)
	runIn(t, nodeExample, "cp", "package.json", "package-lock.json", fetched)
	runIn(t, fetched, "npm", "ci", "--ignore-scripts", "--prefer-offline", "--no-audit", "--no-fund")
	if err := os.Rename(fetched, kept); err != nil && !errors.Is(err, fs.ErrExist) && !errors.Is(err, syscall.ENOTEMPTY) {
		t.Fatal(err)
	}
	return filepath.Join(kept, "node_modules")
}

// runIn runs a program in a folder.
func runIn(t *testing.T, dir, program string, args ...string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), program, args...)
	cmd.Dir = dir
	out, err := cmd.CombinedOutput()
	if errors.Is(err, exec.ErrNotFound) {
		t.Fatalf("%s is missing: install Node.js 20 or newer, with npm", program)
	}
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", program, strings.Join(args, " "), err, out)
	}
}

func cache(t *testing.T) string {
	dir, err := os.UserCacheDir()
	if err == nil {
		err = os.MkdirAll(dir, 0o700)
	}
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

// onDisk makes a folder whose files survive a loss of power. Files in TMPDIR may
// not.
func onDisk(t *testing.T) string {
	dir, err := os.MkdirTemp(cache(t), "fairlead-test-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	return dir
}

// program returns the path of the program that the command starts.
func (n *node) program() string { return filepath.Join(n.folder, "fairlead-lmdb.d") }

// Kill implements conformance.Control. The host would start the plugin again;
// without its program it cannot.
func (n *node) Kill(ctx context.Context) error {
	if err := os.Rename(n.program(), n.program()+".away"); err != nil {
		return err
	}
	pid := n.host.Status()[0].PID
	if pid == 0 {
		return fmt.Errorf("there is no process to kill")
	}
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		return err
	}
	return until(ctx, func() bool { return !alive(pid) })
}

// Start implements conformance.Control.
func (n *node) Start(ctx context.Context) error {
	if err := os.Rename(n.program()+".away", n.program()); err != nil {
		return err
	}
	if err := until(ctx, func() bool { return n.host.Status()[0].State == plugins.Running }); err != nil {
		return fmt.Errorf("%w; the last error: %v", err, n.host.Status()[0].LastError)
	}
	return nil
}

func until(ctx context.Context, ok func() bool) error {
	for !ok() {
		select {
		case <-time.After(5 * time.Millisecond):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// TestNodeCrash shows what a host reports if the plugin cannot start.
func TestNodeCrash(t *testing.T) {
	n := newNode(t)
	if err := os.Rename(n.program(), n.program()+".away"); err != nil {
		t.Fatal(err)
	}
	h := newHost(t, plugins.WithFolders(n.folder), plugins.WithRestart(plugins.RestartPolicy{
		MinPause: time.Millisecond, MaxPause: time.Millisecond, MaxStarts: 1, Window: time.Minute, Cooldown: time.Minute,
	}))
	_, err := h.Open(t.Context(), "lmdb://"+n.data)
	if err == nil || !strings.Contains(err.Error(), "Cannot find module") {
		t.Errorf("want the last lines that Node.js wrote, got %v", err)
	}
}

// TestNodeSidecar opens a sidecar in another language. The sidecar was killed
// once and has left its socket.
func TestNodeSidecar(t *testing.T) {
	dir := checkout(t)
	socket := "unix://" + filepath.Join(onDisk(t), "s")
	url := "lmdb://" + onDisk(t)
	start := func() *exec.Cmd {
		cmd := exec.CommandContext(t.Context(), filepath.Join(dir, "fairlead-lmdb"), "--listen", socket, "--url", url)
		cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		return cmd
	}
	killed := start()
	p, err := fairlead.Open(t.Context(), "sidecar+"+socket)
	if err != nil {
		t.Fatal(err)
	}
	works(t, p)
	_ = killed.Process.Kill()
	_ = killed.Wait()
	again := start()
	works(t, p)
	if err := p.Close(t.Context()); err != nil {
		t.Error(err)
	}
	_ = again.Process.Signal(syscall.SIGTERM)
	if err := again.Wait(); err != nil {
		t.Errorf("a sidecar that was told to end: %v", err)
	}
}
