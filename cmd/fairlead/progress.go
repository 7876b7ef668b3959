package main

import (
	"fmt"
	"io"
	"os"
	"time"

	"github.com/schollz/progressbar/v3"
	"golang.org/x/term"

	"fairlead.dev/conformance"
)

// progress shows the progress of a run: a bar on a terminal, else a line for each
// case. A failed case gets a line in both forms.
type progress struct {
	out io.Writer
	bar *progressbar.ProgressBar // nil unless out is a terminal
}

func newProgress(out io.Writer) *progress { return &progress{out: out} }

func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

func (p *progress) begin(cases int) {
	if !isTerminal(p.out) || cases == 0 {
		return
	}
	p.bar = progressbar.NewOptions(cases,
		progressbar.OptionSetWriter(p.out),
		progressbar.OptionSetDescription("cases"),
		progressbar.OptionShowCount(),
		progressbar.OptionSetWidth(30),
		progressbar.OptionClearOnFinish(),
		progressbar.OptionThrottle(50*time.Millisecond))
}

func (p *progress) done(r conformance.Result) {
	if p.bar != nil {
		if r.Bad() || !r.Ran() {
			_ = p.bar.Clear()
			p.printLine(r)
		}
		p.bar.Describe(r.Case)
		_ = p.bar.Add(1)
		return
	}
	p.printLine(r)
}

func (p *progress) printLine(r conformance.Result) {
	mark := "ok  "
	switch {
	case r.Bad():
		mark = "FAIL"
	case r.Outcome == conformance.KnownFails:
		fmt.Fprintf(p.out, "known %s: %s (%v)\n", r.Case, r.Reason, r.Duration.Round(time.Millisecond))
		return
	case !r.Ran():
		mark = string(r.Outcome)
	}
	fmt.Fprintf(p.out, "%s %s (%v)\n", mark, r.Case, r.Duration.Round(time.Millisecond))
}

func (p *progress) end() {
	if p.bar != nil {
		_ = p.bar.Finish()
	}
}
