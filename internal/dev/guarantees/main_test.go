package main

import (
	"os"
	"testing"
)

// TestREADMEIsCurrent fails if the claims of a provider differ from the README. Then
// run "make generate".
func TestREADMEIsCurrent(t *testing.T) {
	old, err := os.ReadFile("../../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	fresh, err := replaced(t.Context(), string(old))
	if err != nil {
		t.Fatal(err)
	}
	if fresh != string(old) {
		t.Error("the table of guarantees in README.md is not what the providers describe; run: make generate")
	}
}
