package main

import (
	"bytes"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"

	"fairlead.dev"
	"fairlead.dev/conformance"
)

// atWidth returns what print prints on an output of that many columns.
func atWidth(t *testing.T, columns int, print func(*bytes.Buffer)) string {
	t.Helper()
	t.Setenv("COLUMNS", strconv.Itoa(columns))
	var b bytes.Buffer
	print(&b)
	return b.String()
}

// TestTablesFit: tables are no wider than the output, and no word is broken.
func TestTablesFit(t *testing.T) {
	report := &conformance.Report{Provider: "redis", Claims: []conformance.ClaimResult{
		{Facet: fairlead.KV, Claim: "kv.SnapshotList", Verdict: conformance.Observed, Held: 2, Rules: 2},
		{Facet: fairlead.KV, Claim: fairlead.DurableFsync, Verdict: conformance.NotClaimed, Reason: "appendfsync is everysec: a write is acknowledged up to a second before it is on stable storage", Remedy: "set appendfsync always"},
	}}
	tables := map[string]func(*bytes.Buffer){
		"guarantees": func(b *bytes.Buffer) { printClaims(b, report) },
		"cases":      func(b *bytes.Buffer) { printFacets(b, report) },
	}
	for name, print := range tables {
		words := map[string]bool{}
		for _, word := range strings.Fields(atWidth(t, 1000, print)) {
			words[word] = true
		}
		for _, columns := range []int{40, 80, 120} {
			out := atWidth(t, columns, print)
			for _, line := range strings.Split(out, "\n") {
				if n := utf8.RuneCountInString(line); n > columns {
					t.Errorf("%s at %d: a line has %d columns: %s", name, columns, n, line)
				}
			}
			for _, word := range strings.Fields(out) {
				if !words[word] && !strings.ContainsAny(word, "─│") && !words[strings.TrimSuffix(word, ":")] {
					t.Errorf("%s at %d: the word %q is part of another one, in\n%s", name, columns, word, out)
				}
			}
		}
	}
}

// TestTableLayouts shows the three layouts.
func TestTableLayouts(t *testing.T) {
	table := func(b *bytes.Buffer) {
		w := newTable(b, "Guarantees", "claim", "verdict")
		w.AppendRow([]any{"kv.Watch", "three short words"})
		w.Render()
	}
	for _, c := range []struct {
		columns int
		want    string
	}{
		{40, "Guarantees\n┌──────────┬───────────────────┐\n│ claim    │ verdict           │\n├──────────┼───────────────────┤\n│ kv.Watch │ three short words │\n└──────────┴───────────────────┘\n"},
		{24, "Guarantees\n┌──────────┬───────────┐\n│ claim    │ verdict   │\n├──────────┼───────────┤\n│ kv.Watch │ three     │\n│          │ short     │\n│          │ words     │\n└──────────┴───────────┘\n"},
		{20, "Guarantees\nkv.Watch\n  verdict: three\n  short words\n"},
	} {
		if got := atWidth(t, c.columns, table); got != c.want {
			t.Errorf("at %d:\n%s\nwant\n%s", c.columns, got, c.want)
		}
	}
}

// TestOutputWidth: a file has no terminal that says how wide it is.
func TestOutputWidth(t *testing.T) {
	for columns, want := range map[string]int{"": fileWidth, "40": 40, "0": fileWidth, "wide": fileWidth} {
		t.Setenv("COLUMNS", columns)
		if got := outputWidth(&bytes.Buffer{}); got != want {
			t.Errorf("COLUMNS=%q: %d, want %d", columns, got, want)
		}
	}
}
