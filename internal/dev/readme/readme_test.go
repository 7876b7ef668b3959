package readme

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

const (
	mark  = "<!-- commands: run by internal/dev/readme -->"
	clone = "git clone CHECKOUT fairlead\n"
)

// TestUseInAModule runs the commands with which the README makes a module that
// uses a checkout, in a folder outside of this module.
func TestUseInAModule(t *testing.T) {
	commands, ok := strings.CutPrefix(commandsAfterMark(t), clone)
	if !ok {
		t.Fatalf("the commands do not begin with %q", clone)
	}
	checkout, err := filepath.Abs("../../..")
	if err != nil {
		t.Fatal(err)
	}
	folder := t.TempDir()
	if err := os.Symlink(checkout, filepath.Join(folder, "fairlead")); err != nil { // in place of the clone
		t.Fatal(err)
	}
	const result = "run 1\nreceived: run 1 has counted\n"
	if out, err := run(t, folder, commands); err != nil || !strings.HasSuffix(out, result) {
		t.Fatalf("the commands of the README: %v\n%s", err, out)
	}
	// Fails if a requirement cannot be downloaded, even one that is not compiled.
	if out, err := run(t, filepath.Join(folder, "hello"), "go list -m all"); err != nil {
		t.Errorf("go list -m all: %v\n%s", err, out)
	}
	if out, err := run(t, filepath.Join(folder, "hello"), "go doc fairlead.dev Open"); err != nil || !strings.Contains(out, "func Open(") {
		t.Errorf("go doc: %v\n%s", err, out)
	}
}

// run runs shell commands in a folder and returns their output.
func run(t *testing.T, folder, commands string) (string, error) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "bash", "-euo", "pipefail", "-c", commands)
	cmd.Dir = folder
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// commandsAfterMark returns the text of the code block after the mark.
func commandsAfterMark(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile("../../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, marked := strings.Cut(string(text), mark)
	_, rest, opened := strings.Cut(rest, "```sh\n")
	commands, _, closed := strings.Cut(rest, "```\n")
	if !marked || !opened || !closed {
		t.Fatalf("the README has no code block after %q", mark)
	}
	return commands
}
