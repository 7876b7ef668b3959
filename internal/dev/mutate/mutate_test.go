package main

import (
	"os"
	"strings"
	"testing"
)

// TestBreaksFit shows that each break still has its place in the code, and its
// test. "make mutate" makes the breaks.
func TestBreaksFit(t *testing.T) {
	t.Chdir("../../..")
	for _, c := range changes {
		if _, err := c.broken(); err != nil {
			t.Errorf("%s: %v", c.what, err)
		}
		if !hasTest(t, c) {
			t.Errorf("%s: %s has no %s", c.what, c.pkg, c.run)
		}
	}
}

// hasTest reports whether a test file of the package declares the test.
func hasTest(t *testing.T, c change) bool {
	files, err := os.ReadDir(c.pkg)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		text, _ := os.ReadFile(c.pkg + "/" + f.Name())
		if strings.HasSuffix(f.Name(), "_test.go") && strings.Contains(string(text), "func "+c.run+"(") {
			return true
		}
	}
	return false
}
