package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"fairlead.dev"
	"fairlead.dev/cmd/fairlead/internal/page"
	"fairlead.dev/conformance"
)

// conformanceFlags are the flags of "fairlead conformance".
type conformanceFlags struct {
	facets    []string
	run       string
	profile   string
	transport string
	json      string
	junit     string
	html      string
	serve     string
	badge     string
	parallel  int
	kill      string
	cut       string
	start     string
	fill      string
	free      string
	purge     string
	insert    string
	replace   string
	known     string
	maxRate   int
	verbose   bool
}

func newConformanceCommand() *cobra.Command {
	var f conformanceFlags
	cmd := &cobra.Command{
		Use:   "conformance URL",
		Short: "Run the conformance suite against a backend",
		Long: `Run the conformance suite against the backend that the URL names. For every
guarantee, print whether the provider claims it, and the evidence for it.

The exit code is 0 if the provider conforms in what was run, and 1 if a case failed.
It is 3 if the run decides nothing: no case failed, but the run was interrupted, the
backend cannot be opened, a case could not run (for example because the start command
failed), or nothing ran. It is 2 for wrong usage.

The suite only uses names that start with ` + conformance.Prefix + `. It removes them when
it ends, also after Ctrl-C.

Cases that kill the backend run only if you give the commands to kill and start it:
  fairlead conformance redis://127.0.0.1:6379 \
    --kill-command 'systemctl kill -s KILL redis' --start-command 'systemctl start redis'

A kill keeps what the operating system has not written to its disk. If you can cut the
power of the backend's machine, give --cut-command in place of --kill-command; only
then a run shows that a write that was acknowledged is on stable storage.

Cases that fill the backend run only if you give the commands for that. The
backend is then full for its other clients, too:
  fairlead conformance redis://127.0.0.1:6379 \
    --fill-command 'redis-cli config set maxmemory 1' --free-command 'redis-cli config set maxmemory 0'

Cases about what other programs do to a backend run only if you give commands that
do so, to names that the case has made. docs/operators.md has the commands for
each backend. Give all three; add -p or -u for a server that is not on port 6379:
  fairlead conformance redis://127.0.0.1:6379 \
    --purge-command 'redis-cli xtrim "fairlead:ps:{$TOPIC}:stream" maxlen 0' \
    --insert-command 'redis-cli xadd "fairlead:ps:{$TOPIC}:stream" "*" foreign 1' \
    --replace-command 'redis-cli set "fairlead:kv:{$STORE}:k:$KEY" foreign'

Cases that are known to fail do not fail the run if they are in the file of --known,
by their name or by the identifier of their rule ("rule: KV-CAS-3").
They are run, and one that passes fails the run: it must be taken off the list. An
entry no longer counts when its last day (in UTC) has passed. The file is YAML:
` + knownFormat,
		Example: "  fairlead conformance mem://\n  fairlead conformance redis://127.0.0.1:6379 --facet kv --run watch\n  fairlead conformance mem:// --transport loopback\n  fairlead conformance plugin+mem://    (after fairlead plugin install)",
		Args:    requireURL,
		RunE: func(cmd *cobra.Command, args []string) error {
			return runConformance(cmd, args[0], f)
		},
	}
	flags := cmd.Flags()
	flags.StringSliceVar(&f.facets, "facet", nil, "run only the cases of these facets: open, kv, pubsub, rpc, config")
	flags.StringVar(&f.run, "run", "", "run only the cases whose names match this regular expression")
	flags.StringVar(&f.profile, "profile", string(conformance.Full), "set of cases to run: quick or full")
	flags.StringVar(&f.transport, "transport", "", "how to call a provider that is linked in: direct (the default); loopback or loopback-stream encode and decode every call as for a plugin")
	flags.StringVar(&f.json, "json", "", "write the report as JSON to this `file`; - for standard output")
	flags.StringVar(&f.junit, "junit", "", "write the report as JUnit XML to this `file`; - for standard output")
	flags.StringVar(&f.html, "html", "", "write the report as one HTML page, which needs no other file, to this `file`; - for standard output")
	flags.StringVar(&f.serve, "serve", "", "show the page of --html at this `address` while the run goes on, and after it until Ctrl-C; for example 127.0.0.1:8080")
	flags.StringVar(&f.badge, "badge", "", "write a badge with the conclusion as SVG to this `file`; - for standard output")
	flags.IntVar(&f.parallel, "parallel", max(4, runtime.NumCPU()), "number of cases that run at the same time")
	flags.StringVar(&f.kill, "kill-command", "", "shell `command` that kills the backend, for the cases that need it")
	flags.StringVar(&f.cut, "cut-command", "", "shell `command` that cuts the power of the backend's machine, in place of --kill-command: what was not synced is lost")
	flags.StringVar(&f.start, "start-command", "", "shell `command` that starts the backend again and returns when it serves")
	flags.StringVar(&f.fill, "fill-command", "", "shell `command` that fills the backend, so that it refuses writes, for the cases that need it")
	flags.StringVar(&f.free, "free-command", "", "shell `command` that gives the backend space again and returns when it takes writes")
	flags.StringVar(&f.purge, "purge-command", "", "shell `command` that removes all messages of the topic $TOPIC, for the cases about what other programs do")
	flags.StringVar(&f.insert, "insert-command", "", "shell `command` that adds an entry to the messages of the topic $TOPIC that Fairlead would not write")
	flags.StringVar(&f.replace, "replace-command", "", "shell `command` that replaces the value of the key $KEY in the store $STORE")
	flags.IntVar(&f.maxRate, "max-rate", 0, "greatest number of calls in a second that the suite sends to the backend, for a run beside other users; 0 for no bound")
	flags.StringVar(&f.known, "known", "", "YAML `file` with the cases that are known to fail, each with the reason and the last day on which that counts")
	flags.BoolVarP(&f.verbose, "verbose", "v", false, "print log lines; the cases cause warnings and errors on purpose")
	cmd.MarkFlagsMutuallyExclusive("kill-command", "cut-command")
	cmd.MarkFlagsRequiredTogether("fill-command", "free-command")
	cmd.MarkFlagsRequiredTogether("purge-command", "insert-command", "replace-command")
	cmd.AddCommand(newCleanCommand(), newCompareCommand())
	return cmd
}

func runConformance(cmd *cobra.Command, url string, f conformanceFlags) error {
	opts, err := f.options()
	if err != nil {
		return err
	}
	known, err := readKnown(f.known)
	if err != nil {
		return err
	}
	open, name, err := openTransport(url, f.transport)
	if err != nil {
		return err
	}
	onPage := page.Run{
		Command: runCommandLine(cmd.Flags(), url),
		Repeat:  func(r conformance.Result) string { return repeatCommand(cmd.Flags(), url, r) },
	}
	forms, err := f.forms(onPage)
	if err != nil {
		return err
	}
	out := cmd.OutOrStdout()
	if toStdout(forms) {
		out = cmd.ErrOrStderr() // standard output holds only the report
	}
	if !f.verbose {
		slog.SetDefault(slog.New(slog.DiscardHandler))
	}
	reports, err := openReports(forms)
	if err != nil {
		return err
	}
	defer reports.close()
	reasons, expired := splitKnown(known, time.Now())
	for _, line := range expired {
		fmt.Fprintln(out, line)
	}
	p := newProgress(out)
	live, err := serveLive(f.serve, onPage, out)
	if err != nil {
		return err
	}
	defer live.close()
	opts = append(opts, conformance.WithKnownFailures(reasons), conformance.WithObserver(conformance.Observer{
		Planned: func(plan conformance.Plan) { p.begin(plan); live.show(plan.Report) }, Began: p.began, Done: p.done,
	}), conformance.WithTransport(name))
	report, err := conformance.Run(cmd.Context(), open, opts...)
	if err != nil {
		return explainNoRun(err)
	}
	p.end()
	printReport(out, report, onPage.Repeat)
	err = conclude(report, f.run)
	if writing := reports.write(cmd.OutOrStdout(), report); writing != nil {
		return errors.Join(err, &exitError{writing, exitUndecided})
	}
	live.keep(cmd.Context(), report, out)
	return err
}

// explainNoRun turns the error of a backend that cannot be opened into an error
// without a conclusion. An Invalid error stays an error of usage.
func explainNoRun(err error) error {
	if fairlead.CodeOf(err) == fairlead.Invalid {
		return err
	}
	return &exitError{fmt.Errorf("%s: the backend cannot be opened, and nothing was run: %w", conformance.Undecided, err), exitUndecided}
}

// conclude returns the error of a run that does not show that the provider
// conforms. pattern is the value of --run.
func conclude(r *conformance.Report, pattern string) error {
	err := r.Err()
	switch {
	case err == nil:
		return nil
	case r.Conclusion == conformance.DoesNotConform:
		return &exitError{err, exitFailure}
	case len(r.Results) == 0 && pattern != "":
		err = fmt.Errorf("%w: --run %q matches no case of these facets; similar names: %s", err, pattern, strings.Join(similarCases(pattern), ", "))
	}
	return &exitError{err, exitUndecided}
}

func opener(url string) conformance.Opener {
	return func(ctx context.Context) (fairlead.Provider, error) { return fairlead.Open(ctx, url) }
}

// maxRateAccepted is the greatest value of --max-rate. A greater one bounds nothing.
const maxRateAccepted = 1_000_000

// options validates the flags.
func (f conformanceFlags) options() ([]conformance.Option, error) {
	opts := []conformance.Option{conformance.WithParallel(f.parallel)}
	switch p := conformance.Profile(f.profile); p {
	case conformance.Quick, conformance.Full:
		opts = append(opts, conformance.WithProfile(p))
	default:
		return nil, fmt.Errorf("--profile is %q; accepted: quick, full", f.profile)
	}
	if f.maxRate < 0 || f.maxRate > maxRateAccepted {
		return nil, fmt.Errorf("--max-rate is %d; accepted: 1 to %d calls in a second, and 0 for no bound", f.maxRate, maxRateAccepted)
	}
	opts = append(opts, conformance.WithMaxRate(f.maxRate))
	facets, err := parseFacets(f.facets)
	if err != nil {
		return nil, err
	}
	opts = append(opts, conformance.WithFacets(facets...))
	if f.run != "" {
		match, err := regexp.Compile(f.run)
		if err != nil {
			return nil, fmt.Errorf("--run is not a regular expression: %w; give a part of a case's name, for example watch", err)
		}
		opts = append(opts, conformance.WithMatch(match))
	}
	if (f.kill != "" || f.cut != "") != (f.start != "") {
		return nil, errors.New("give --start-command together with --kill-command or --cut-command: a backend that is killed must be started again")
	}
	if f.cut != "" {
		opts = append(opts, conformance.WithPowerCut(shellControl{shellCommand{"cut-command", f.cut}, f.start}))
	}
	if f.kill != "" {
		opts = append(opts, conformance.WithControl(shellControl{shellCommand{"kill-command", f.kill}, f.start}))
	}
	if f.fill != "" {
		opts = append(opts, conformance.WithFiller(shellFiller{fill: f.fill, free: f.free}))
	}
	if f.purge != "" {
		opts = append(opts, conformance.WithOperator(shellOperator{purge: f.purge, insert: f.insert, replace: f.replace}))
	}
	return opts, nil
}

func parseFacets(names []string) ([]fairlead.Facet, error) {
	known := append([]fairlead.Facet{conformance.Opening}, fairlead.Facets()...)
	var facets []fairlead.Facet
	for _, name := range names {
		if !slices.Contains(known, fairlead.Facet(name)) {
			return nil, fmt.Errorf("--facet is %q; accepted: %s", name, strings.ReplaceAll(strings.Trim(fmt.Sprint(known), "[]"), " ", ", "))
		}
		facets = append(facets, fairlead.Facet(name))
	}
	return facets, nil
}
