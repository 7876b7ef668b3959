// Command mutate makes small breaks in the code, one at a time, and runs for each
// the test that must fail. It prints the breaks that no test noticed. It changes
// no file: the go command reads the broken file in place of the true one.
//
// "make mutate" runs it. Arguments are words: only breaks that have one of them
// in their description or file are made.
package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

func main() {
	var survivors []string
	for _, c := range changes {
		if !selected(c, os.Args[1:]) {
			continue
		}
		verdict, err := try(c)
		if err != nil {
			verdict = "cannot be judged: " + err.Error()
		}
		fmt.Printf("%-9s %s (%s)\n", verdict, c.what, c.file)
		if verdict != caught {
			survivors = append(survivors, c.what)
		}
	}
	if len(survivors) > 0 {
		fmt.Printf("\n%d breaks were not noticed:\n  %s\n", len(survivors), strings.Join(survivors, "\n  "))
		os.Exit(1)
	}
}

func selected(c change, words []string) bool {
	for _, word := range words {
		if strings.Contains(c.what, word) || strings.Contains(c.file, word) {
			return true
		}
	}
	return len(words) == 0
}

const (
	caught   = "caught"
	survives = "SURVIVES"
)

// try runs the test of a break, which must fail with the break only.
func try(c change) (verdict string, err error) {
	dir, err := os.MkdirTemp("", "mutate")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(dir)
	overlay, err := writeOverlay(dir, c)
	if err != nil {
		return "", err
	}
	if out, err := goCommand("vet", "-overlay", overlay, c.pkg); err != nil {
		return "", fmt.Errorf("the broken code does not compile: %w\n%s", err, out)
	}
	out, err := goCommand("test", "-count=1", "-overlay", overlay, "-run", c.run, c.pkg)
	switch {
	case err == nil:
		return survives, nil
	case !strings.Contains(out, "--- FAIL"):
		return "", fmt.Errorf("the test did not run to its end: %w\n%s", err, out)
	}
	return caught, nil
}

// goCommand runs the go command, and returns its output.
func goCommand(args ...string) (string, error) {
	out, err := exec.Command("go", args...).CombinedOutput()
	return string(out), err
}

// broken returns the text of a file with the break.
func (c change) broken() ([]byte, error) {
	text, err := os.ReadFile(c.file)
	if err != nil {
		return nil, err
	}
	if n := strings.Count(string(text), c.old); n != 1 {
		return nil, errors.New("the text to break occurs " + fmt.Sprint(n) + " times in " + c.file + ", want once: correct breaks.go")
	}
	return []byte(strings.Replace(string(text), c.old, c.new, 1)), nil
}

// writeOverlay writes the broken file, and the file that tells the go command to
// read it.
func writeOverlay(dir string, c change) (path string, err error) {
	text, err := c.broken()
	if err != nil {
		return "", err
	}
	from, err := filepath.Abs(c.file)
	if err != nil {
		return "", err
	}
	to := filepath.Join(dir, filepath.Base(c.file))
	replace, err := json.Marshal(map[string]map[string]string{"Replace": {from: to}})
	if err != nil {
		return "", err
	}
	path = filepath.Join(dir, "overlay.json")
	return path, errors.Join(os.WriteFile(to, text, 0o600), os.WriteFile(path, replace, 0o600))
}
