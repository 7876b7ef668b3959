package main

import (
	"fmt"
	"slices"
	"strings"
)

// markdown returns the comparison as Markdown, without a title.
func (c *comparison) markdown() string {
	var b strings.Builder
	c.writeReports(&b)
	for _, g := range groupClaims(c.Claims) {
		c.writeClaims(&b, g)
	}
	fmt.Fprintf(&b, "\n%s.\n", escapeMarkdown(shortVerdictsExplained))
	for _, d := range directions() {
		c.writeChanges(&b, d)
	}
	fmt.Fprintf(&b, "\n%s.\n", escapeMarkdown(c.Summary))
	return b.String()
}

func (c *comparison) writeReports(b *strings.Builder) {
	writeRow(b, "report", "backend", "how", "began", "conclusion", "rules held", "broken", "not tried", "kills")
	writeRow(b, slices.Repeat([]string{"---"}, 9)...)
	for _, r := range c.Reports {
		kills := fmt.Sprint(r.Kills)
		if r.PowerCut {
			kills += " power cuts"
		}
		writeRow(b, r.Label, strings.TrimSpace(r.Provider+" "+r.Version), r.Transport+", profile "+string(r.Profile), r.Started.UTC().Format("2006-01-02 15:04 UTC"),
			string(r.Conclusion), fmt.Sprint(r.Held), fmt.Sprint(r.Broken), fmt.Sprint(r.NotTried), kills)
	}
}

func (c *comparison) writeClaims(b *strings.Builder, g claimGroup) {
	header := []string{g.title}
	for _, r := range c.Reports {
		header = append(header, r.Label)
	}
	b.WriteString("\n")
	writeRow(b, header...)
	writeRow(b, slices.Repeat([]string{"---"}, len(header))...)
	for _, row := range g.rows {
		writeRow(b, slices.Concat([]string{row.name}, row.cells)...)
	}
}

// writeChanges writes the changes of one direction as a list.
func (c *comparison) writeChanges(b *strings.Builder, d direction) {
	title := c.directionTitle(d)
	for _, one := range c.Changes {
		if one.Direction != d {
			continue
		}
		if title != "" {
			fmt.Fprintf(b, "\n%s\n\n", escapeMarkdown(title))
			title = ""
		}
		parts := slices.Concat([]string{one.headline()}, one.details(), c.byState(one.States))
		fmt.Fprintf(b, "- %s\n", escapeMarkdown(strings.Join(parts, "; ")))
	}
}

func writeRow(b *strings.Builder, cells ...string) {
	for _, cell := range cells {
		b.WriteString("| " + escapeMarkdown(cell) + " ")
	}
	b.WriteString("|\n")
}

// escapeMarkdown keeps the characters of a text from being taken as a table, as
// emphasis, as a link or as HTML. The texts come from files.
func escapeMarkdown(s string) string {
	return markdownEscapes.Replace(strings.Join(strings.Fields(s), " "))
}

var markdownEscapes = strings.NewReplacer(`\`, `\\`, "|", `\|`, "*", `\*`, "_", `\_`, "`", "\\`", "[", `\[`, "]", `\]`, "<", "&lt;", ">", "&gt;", "&", "&amp;")
