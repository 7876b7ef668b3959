package main

import (
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/schollz/progressbar/v3"
	"golang.org/x/term"

	"fairlead.dev/conformance"
)

// progress shows what a run does: on a terminal a bar with the cases that run now, else
// a line for each case. A case that failed gets a line in both forms.
type progress struct {
	out         io.Writer
	bar         *progressbar.ProgressBar // nil unless out is a terminal
	total, past int
	running     []string
}

func newProgress(out io.Writer) *progress { return &progress{out: out} }

func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// begin prints the plan of the run.
func (p *progress) begin(plan conformance.Plan) {
	printPlan(p.out, plan)
	p.total = len(plan.Run)
	if !isTerminal(p.out) || p.total == 0 {
		return
	}
	p.bar = progressbar.NewOptions(p.total,
		progressbar.OptionSetWriter(p.out),
		progressbar.OptionShowCount(),
		progressbar.OptionSetPredictTime(false),
		progressbar.OptionSetWidth(barWidth),
		progressbar.OptionClearOnFinish(),
		progressbar.OptionShowDescriptionAtLineEnd(),
		progressbar.OptionThrottle(50*time.Millisecond))
}

// barWidth is the width of the bar, and barRest of the numbers beside it.
const (
	barWidth = 12
	barRest  = 24
)

func (p *progress) began(name string) {
	p.running = append(p.running, name)
	p.describe()
}

func (p *progress) done(r conformance.Result) {
	p.past++
	p.running = slices.DeleteFunc(p.running, func(name string) bool { return name == r.Case })
	if p.bar == nil {
		p.printLine(r)
		return
	}
	if r.Bad() || !r.Ran() {
		_ = p.bar.Clear()
		p.printLine(r)
	}
	p.describe()
	_ = p.bar.Add(1)
}

// describe shows the names of the cases that run now.
func (p *progress) describe() {
	if p.bar != nil {
		p.bar.Describe(runningText(p.running, outputWidth(p.out)-barWidth-barRest))
	}
}

// runningText returns as many names as fit the width, and the number of the others.
func runningText(names []string, width int) string {
	for n := len(names); n > 0; n-- {
		text := strings.Join(names[:n], ", ")
		if rest := len(names) - n; rest > 0 {
			text += fmt.Sprintf(" and %d more", rest)
		}
		if len(text) <= width {
			return text
		}
	}
	return ""
}

func (p *progress) printLine(r conformance.Result) {
	mark, reason := "ok", ""
	switch {
	case r.Bad():
		mark = "FAIL"
	case r.Outcome == conformance.KnownFails:
		mark, reason = "known", ": "+r.Reason
	case !r.Ran():
		mark = string(r.Outcome)
	}
	fmt.Fprintf(p.out, "[%d/%d] %-4s %s%s (%v)\n", p.past, p.total, mark, r.Case, reason, r.Duration.Round(time.Millisecond))
}

func (p *progress) end() {
	if p.bar != nil {
		_ = p.bar.Finish()
	}
}
