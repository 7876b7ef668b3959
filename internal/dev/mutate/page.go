package main

import (
	"fmt"
	"strings"
	"time"
)

// pageFile is the page of the documentation with the results of the last whole run.
const pageFile = "docs/breaks.md"

// formatPage returns the text of the page.
func formatPage(all []change, verdicts []verdict, day time.Time) string {
	var b strings.Builder
	good := 0
	for _, v := range verdicts {
		if v.good() {
			good++
		}
	}
	fmt.Fprintf(&b, `# Breaks that tests must notice

Each line is a small break of the code, which somebody could make by mistake, and the test that must fail for it. The list is in [internal/dev/mutate](../internal/dev/mutate).

`+"`make mutate`"+` makes the breaks, each by itself, and writes this page. It changes no other file. Last whole run: %s; %d of %d breaks were caught.

A test that would wait for ever with a break ends by its time limit. That counts only where the list says so.

| break | file | test | result |
|---|---|---|---|
`, day.UTC().Format(time.DateOnly), good, len(all))
	for i, c := range all {
		fmt.Fprintf(&b, "%s %s |\n", pageRow(c), verdicts[i])
	}
	return b.String()
}

// pageRow returns the line of a break in the page, without the result.
func pageRow(c change) string {
	return fmt.Sprintf("| %s | [%s](../%s) | `%s` in `%s` |", c.what, c.file, c.file, c.run, c.pkg)
}
