package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"fairlead.dev/conformance"
)

func newCompareCommand() *cobra.Command {
	var asJSON, asMarkdown bool
	cmd := &cobra.Command{
		Use:   "compare FILE FILE…",
		Short: "Print the reports of several conformance runs side by side",
		Long: `Print reports that "fairlead conformance URL --json FILE" has written side by side:
of several backends, of several versions, or of a run before and after a change.

The table has a row for each claim and a column for each report. Then come the
changes from the first report to the last one: the rules that are broken now, the
most harmful first, the claims that are lost, and those with weaker evidence; then what
is better. Cases that take more than five times as long, and more than a second, are
listed for information.

The exit code is 1 if the last report breaks a rule, or if a claim of the first report
is lost or has weaker evidence in the last one. A rule that the last run lists as known
to fail counts only if it held in the first one. Otherwise the exit code is 0. It is 2
for wrong usage, for example if a file is no report.`,
		Example: "  fairlead conformance compare before.json after.json\n  fairlead conformance compare redis.json etcd.json nats.json --markdown > backends.md",
		Args:    requireArguments(2, -1, "two or more reports"),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := compareFiles(args)
			if err != nil {
				return err
			}
			if err := c.write(cmd.OutOrStdout(), asJSON, asMarkdown); err != nil {
				return &operationError{err}
			}
			if c.Worse {
				return &exitError{errors.New(c.Summary), exitFailure}
			}
			return nil
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print the comparison as JSON")
	cmd.Flags().BoolVar(&asMarkdown, "markdown", false, "print the comparison as Markdown")
	cmd.MarkFlagsMutuallyExclusive("json", "markdown")
	return cmd
}

func compareFiles(files []string) (*comparison, error) {
	var reports []*conformance.Report
	for _, file := range files {
		r, err := readReport(file)
		if err != nil {
			return nil, err
		}
		reports = append(reports, r)
	}
	return compareReports(files, reports), nil
}

// readReport reads a report that --json has written.
func readReport(file string) (*conformance.Report, error) {
	b, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("a report cannot be read: %w", err)
	}
	var r conformance.Report
	if err := json.Unmarshal(b, &r); err != nil {
		return nil, fmt.Errorf("%s is no report: %w; give a file that \"fairlead conformance URL --json FILE\" has written", file, err)
	}
	if err := checkReport(&r); err != nil {
		return nil, fmt.Errorf("%s %w", file, err)
	}
	return &r, nil
}

// checkReport refuses what is JSON and no report of the version that this command
// writes.
func checkReport(r *conformance.Report) error {
	if r.Provider == "" || r.Started.IsZero() {
		return errors.New("is no report: it names no provider or no time; give a file that \"fairlead conformance URL --json FILE\" has written")
	}
	if r.SchemaVersion != conformance.ReportVersion {
		return fmt.Errorf("has schema_version %d, and this command reads version %d; run the suite again with this version of fairlead", r.SchemaVersion, conformance.ReportVersion)
	}
	for _, c := range r.Claims {
		if verdictRank(c.Verdict) < 0 {
			return fmt.Errorf("is of another version of fairlead: its verdict %q on %s is unknown; run the suite again with this version", c.Verdict, c.Claim)
		}
	}
	return nil
}

// write prints the comparison.
func (c *comparison) write(out io.Writer, asJSON, asMarkdown bool) error {
	switch {
	case asJSON:
		enc := json.NewEncoder(out)
		enc.SetIndent("", "  ")
		return enc.Encode(c)
	case asMarkdown:
		_, err := io.WriteString(out, c.markdown())
		return err
	}
	c.print(out)
	return nil
}
