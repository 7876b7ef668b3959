package main

import (
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/jedib0t/go-pretty/v6/text"
	"golang.org/x/term"
)

// The widths of the output, in columns, where neither COLUMNS nor the terminal says it.
const (
	fileWidth     = 100 // of a file or a pipe
	terminalWidth = 80
)

// outputWidth returns how many columns a line of the output may have.
func outputWidth(out io.Writer) int {
	if n, err := strconv.Atoi(os.Getenv("COLUMNS")); err == nil && n > 0 {
		return n
	}
	if !isTerminal(out) {
		return fileWidth
	}
	if n, _, err := term.GetSize(int(out.(*os.File).Fd())); err == nil && n > 0 {
		return n
	}
	return terminalWidth
}

// fittedTable is a table that is as wide as the output at most. Its cells wrap between
// words. If the words of its columns do not fit beside each other, each row is a list.
type fittedTable struct {
	out    io.Writer
	title  string
	header []string
	rows   [][]string
	footer []string // nil if there is none
}

func newTable(out io.Writer, title string, header ...any) *fittedTable {
	return &fittedTable{out: out, title: title, header: texts(header)}
}

func texts(cells []any) []string {
	all := make([]string, len(cells))
	for i, c := range cells {
		all[i] = fmt.Sprint(c)
	}
	return all
}

// AppendRow adds a row.
func (t *fittedTable) AppendRow(row table.Row) { t.rows = append(t.rows, texts(row)) }

// AppendFooter sets the last row.
func (t *fittedTable) AppendFooter(row table.Row) { t.footer = texts(row) }

// Render prints the table.
func (t *fittedTable) Render() {
	width := outputWidth(t.out)
	fmt.Fprintln(t.out, wrapped(t.title, width, ""))
	if widths := t.columnWidths(width); widths != nil {
		t.renderColumns(widths)
		return
	}
	for _, row := range t.all()[1:] {
		t.renderList(row, width)
	}
}

// all returns the header, the rows and the footer.
func (t *fittedTable) all() [][]string {
	all := slices.Concat([][]string{t.header}, t.rows)
	if t.footer != nil {
		all = append(all, t.footer)
	}
	return all
}

// columnWidths distributes the width of the output among the columns. It returns nil if
// the longest words do not fit.
func (t *fittedTable) columnWidths(width int) []int {
	least, most := make([]int, len(t.header)), make([]int, len(t.header))
	for _, row := range t.all() {
		for i, cell := range row {
			least[i] = max(least[i], longest(strings.Fields(cell)))
			most[i] = max(most[i], longest(strings.Split(cell, "\n")))
		}
	}
	left := width - 3*len(t.header) - 1 // the lines and spaces between the columns
	for _, w := range least {
		left -= w
	}
	if left < 0 {
		return nil
	}
	for ; left > 0; left-- {
		narrow := mostWrapped(least, most)
		if narrow < 0 {
			break
		}
		least[narrow]++
	}
	return least
}

// mostWrapped returns the column whose text wraps most often; -1 if none does.
func mostWrapped(widths, most []int) int {
	found := -1
	for i := range widths {
		if widths[i] < most[i] && (found < 0 || most[i]*max(1, widths[found]) > most[found]*max(1, widths[i])) {
			found = i
		}
	}
	return found
}

func longest(parts []string) int {
	n := 0
	for _, part := range parts {
		n = max(n, text.StringWidthWithoutEscSequences(part))
	}
	return n
}

func (t *fittedTable) renderColumns(widths []int) {
	w := table.NewWriter()
	w.SetOutputMirror(t.out)
	w.SetStyle(table.StyleLight)
	w.Style().Format.Header = text.FormatDefault
	w.Style().Format.Footer = text.FormatDefault
	w.AppendHeader(toRow(t.header))
	for _, row := range t.rows {
		w.AppendRow(toRow(row))
	}
	if t.footer != nil {
		w.AppendFooter(toRow(t.footer))
	}
	configs := make([]table.ColumnConfig, len(widths))
	for i, width := range widths {
		configs[i] = table.ColumnConfig{Number: i + 1, WidthMax: width, WidthMaxEnforcer: text.WrapSoft}
	}
	w.SetColumnConfigs(configs)
	w.Render()
}

func toRow(cells []string) table.Row {
	row := make(table.Row, len(cells))
	for i, c := range cells {
		row[i] = c
	}
	return row
}

// renderList prints a row as its first cell and a list of the others that are not empty.
func (t *fittedTable) renderList(row []string, width int) {
	fmt.Fprintln(t.out, wrapped(row[0], width, ""))
	for i, cell := range row[1:] {
		if cell != "" {
			fmt.Fprintln(t.out, wrapped(t.header[i+1]+": "+cell, width, "  "))
		}
	}
}

// wrapped wraps a text between words. Each line begins with the indent.
func wrapped(s string, width int, indent string) string {
	lines := strings.Split(text.WrapSoft(s, max(1, width-len(indent))), "\n")
	for i, line := range lines {
		lines[i] = indent + strings.TrimRight(line, " ")
	}
	return strings.Join(lines, "\n")
}
