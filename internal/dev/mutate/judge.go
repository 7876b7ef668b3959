package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
)

// verdict says whether a test noticed a break.
type verdict string

const (
	caught      verdict = "caught"
	byTimeLimit verdict = "caught by the time limit"
	survives    verdict = "SURVIVES"
	hangs       verdict = "HANGS"
	unclear     verdict = "CANNOT BE JUDGED"
)

func (v verdict) good() bool { return v == caught || v == byTimeLimit }

const (
	// testTimeout bounds a test with a break.
	testTimeout = "5m"
	// soundTimeout bounds the tests of a package without a break.
	soundTimeout = "15m"
)

// judge tries breaks. It runs the tests without a break as well, once: a test that
// fails anyway notices nothing.
type judge struct {
	sound map[string]func() error // by package
}

func newJudge(all []change) judge {
	tests := map[string][]string{}
	for _, c := range all {
		tests[c.pkg] = append(tests[c.pkg], c.run)
	}
	j := judge{map[string]func() error{}}
	for pkg, names := range tests {
		j.sound[pkg] = sync.OnceValue(func() error {
			pattern := "^(" + strings.Join(names, "|") + ")$"
			out, err := runTest("", "-timeout="+soundTimeout, "-run="+pattern, pkg)
			if err != nil {
				return fmt.Errorf("a test fails without a break: %w\n%s", err, out)
			}
			return nil
		})
	}
	return j
}

// try runs the test of a break. The details are for a person who looks into a verdict that
// is not good.
func (j judge) try(c change) (v verdict, details string) {
	if err := j.sound[c.pkg](); err != nil {
		return unclear, err.Error()
	}
	dir, err := os.MkdirTemp("", "mutate")
	if err != nil {
		return unclear, err.Error()
	}
	defer os.RemoveAll(dir)
	overlay, err := writeOverlay(dir, c)
	if err != nil {
		return unclear, err.Error()
	}
	out, err := runTest(overlay, "-count=1", "-timeout="+testTimeout, "-run=^"+c.run+"$", c.pkg)
	return verdictOf(c, out, err != nil), out
}

// runTest runs "go test", and returns its output. The overlay, if there is one, is
// also for the go commands with which a test builds programs.
func runTest(overlay string, args ...string) (string, error) {
	// Neither vet nor symbols for a debugger: that halves the time of a build.
	cmd := exec.Command("go", append([]string{"test", "-vet=off", "-ldflags=-s -w"}, args...)...)
	if overlay != "" {
		cmd.Env = append(os.Environ(), "GOFLAGS="+strings.TrimSpace(os.Getenv("GOFLAGS")+" -overlay="+overlay))
	}
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// verdictOf returns what the output of a test with a break says.
func verdictOf(c change, out string, failed bool) verdict {
	switch {
	case !failed:
		return survives
	case strings.Contains(out, "[build failed]"), strings.Contains(out, "[setup failed]"):
		return unclear
	case strings.Contains(out, "panic: test timed out after"):
		if c.hangs {
			return byTimeLimit
		}
		return hangs
	}
	for _, sign := range []string{"--- FAIL", "panic: ", "fatal error: ", "goleak: Errors"} {
		if strings.Contains(out, sign) {
			return caught
		}
	}
	return unclear
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
