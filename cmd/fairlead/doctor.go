package main

import (
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"

	"github.com/jedib0t/go-pretty/v6/text"
	"github.com/spf13/cobra"

	"fairlead.dev"
	"fairlead.dev/conformance"
	"fairlead.dev/providers"
)

func newDoctorCommand() *cobra.Command {
	var facets []string
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "doctor URL",
		Short: "Look at a backend, and say what is wrong and how to mend it",
		Long: `Look at the backend that the URL names, before a conformance run or in an incident.
Print a line for each check: ok, warning or problem, what was seen, and for each
problem the fix. The checks are, in order: the URL and the secrets that it names,
the names of the hosts, connecting to each of them, TLS and the certificates, the
login, the permissions of the user (all that are missing, at once), the clock, the
version, opening the provider, durability, quotas and eviction. A check that
depends on one that failed is "not reached"; one that the backend answers to
nobody is "not told".

It changes nothing on the backend, and shows no password. Plugins (plugin+…) get
the checks that need no knowledge of the backend: URL, dial, open, durability.

The exit code is 0 without a problem (warnings are allowed), 1 with one, and 2 for
wrong usage, including a wrong URL.`,
		Example: `  fairlead doctor redis://127.0.0.1:6379
  fairlead doctor redis://app@cache:6379?password-env=REDIS_PASSWORD --facet kv
  fairlead doctor etcds://etcd-1:2379,etcd-2:2379?ca-file=ca.pem --json
  fairlead doctor nats://127.0.0.1:4222?monitor=http://127.0.0.1:8222`,
		Args: requireURL,
		RunE: func(cmd *cobra.Command, args []string) error {
			wanted, err := doctorFacets(facets)
			if err != nil {
				return err
			}
			return runDoctor(cmd, args[0], wanted, asJSON)
		},
	}
	cmd.Flags().StringSliceVar(&facets, "facet", nil, "check the permissions for these facets only: kv, pubsub, rpc, config")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print the findings as JSON")
	return cmd
}

// doctorFacets returns the facets that the flag names, or all.
func doctorFacets(names []string) ([]fairlead.Facet, error) {
	if len(names) == 0 {
		return fairlead.Facets(), nil
	}
	var facets []fairlead.Facet
	for _, name := range names {
		f := fairlead.Facet(name)
		if !slices.Contains(fairlead.Facets(), f) {
			return nil, fmt.Errorf("--facet has %q; accepted: kv, pubsub, rpc, config", name)
		}
		facets = append(facets, f)
	}
	return facets, nil
}

func runDoctor(cmd *cobra.Command, url string, facets []fairlead.Facet, asJSON bool) error {
	var all findings
	show := func(f providers.Finding) { all.Findings = append(all.Findings, f) }
	if !asJSON {
		show = func(f providers.Finding) {
			all.Findings = append(all.Findings, f)
			printFinding(cmd.OutOrStdout(), f)
		}
	}
	t := providers.Trial{Name: conformance.Prefix + "doctor-" + randomText(), Facets: facets}
	quiet := fairlead.WithLogger(slog.New(slog.DiscardHandler)) // a finding says what a log line would
	if err := providers.Diagnose(cmd.Context(), url, t, show, quiet); err != nil {
		return classifyError(err)
	}
	all.count()
	if asJSON {
		enc := json.NewEncoder(cmd.OutOrStdout())
		enc.SetIndent("", "  ")
		enc.SetEscapeHTML(false)
		if err := enc.Encode(all); err != nil {
			return &operationError{err}
		}
	}
	if err := all.conclude(); err != nil || asJSON {
		return err
	}
	fmt.Fprintln(cmd.OutOrStdout(), all.summary())
	return nil
}

func randomText() string {
	var b [4]byte
	_, _ = rand.Read(b[:]) // never fails
	return hex.EncodeToString(b[:])
}

// findings is what --json prints.
type findings struct {
	Findings []providers.Finding `json:"findings"`
	Problems int                 `json:"problems"`
	Warnings int                 `json:"warnings"`
}

func (all *findings) count() {
	for _, f := range all.Findings {
		switch f.Status {
		case providers.CheckProblem:
			all.Problems++
		case providers.CheckWarning:
			all.Warnings++
		}
	}
}

// conclude returns the error that gives the exit code.
func (all *findings) conclude() error {
	isWrongURL := func(f providers.Finding) bool {
		return f.Check == providers.CheckURL && f.Status == providers.CheckProblem
	}
	err := errors.New(all.summary())
	switch {
	case all.Problems == 0:
		return nil
	case slices.ContainsFunc(all.Findings, isWrongURL):
		return err
	}
	return &operationError{err}
}

func (all *findings) summary() string {
	return countText(all.Problems, "problem") + ", " + countText(all.Warnings, "warning")
}

func countText(n int, what string) string {
	if n != 1 {
		what += "s"
	}
	return fmt.Sprintf("%d %s", n, what)
}

// The columns of a finding, in characters.
const (
	doctorWidth   = 80
	statusColumn  = 12
	checkColumn   = 12
	findingColumn = doctorWidth - statusColumn - checkColumn
)

// printFinding prints a finding, wrapped by word. A command is wrapped so that a shell
// takes it as it is printed.
func printFinding(out io.Writer, f providers.Finding) {
	seen := f.Seen
	if f.Subject != "" {
		seen = f.Subject + ": " + seen
	}
	lines := wrapText(seen, findingColumn)
	if f.Fix != "" {
		lines = append(lines, wrapText("fix: "+f.Fix, findingColumn)...)
	}
	for i, line := range lines {
		status, check := string(f.Status), f.Check
		if i > 0 {
			status, check = "", ""
		}
		fmt.Fprintln(out, strings.TrimRight(fmt.Sprintf("%-*s%-*s%s", statusColumn, status, checkColumn, check, line), " "))
	}
	if f.Command != "" {
		indent := strings.Repeat(" ", 4)
		fmt.Fprintln(out, indent+strings.Join(wrapCommand(f.Command, doctorWidth-len(indent)), "\n"+indent))
	}
}

// wrapText returns the lines of a text, of at most width characters where words allow
// it.
func wrapText(s string, width int) (lines []string) {
	for line := range strings.SplitSeq(s, "\n") {
		for wrapped := range strings.SplitSeq(text.WrapSoft(line, width), "\n") {
			lines = append(lines, strings.TrimSpace(wrapped))
		}
	}
	return lines
}

// wrapCommand returns the lines of a shell command. All but the last end with a
// backslash.
func wrapCommand(command string, width int) (lines []string) {
	line := ""
	for word := range strings.SplitSeq(command, " ") {
		if line != "" && len(line)+len(word)+len("  \\") > width {
			lines = append(lines, line+" \\")
			line = " "
		}
		if strings.TrimSpace(line) != "" {
			line += " "
		}
		line += word
	}
	return append(lines, line)
}
