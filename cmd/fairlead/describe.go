package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/spf13/cobra"

	"fairlead.dev"
	"fairlead.dev/conformance"
)

func newDescribeCommand() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "describe URL",
		Short: "Print what a backend guarantees, and what to change for more",
		Long: `Probe the backend that the URL names. For each facet, print the claims that hold,
the limits, and for each other claim the reason why it does not hold and the
remedy.`,
		Example: "  fairlead describe redis://127.0.0.1:6379",
		Args:    requireURL,
		RunE: func(cmd *cobra.Command, args []string) error {
			d, err := describe(cmd.Context(), args[0])
			if err != nil {
				return classifyError(err)
			}
			if asJSON {
				enc := json.NewEncoder(cmd.OutOrStdout())
				enc.SetIndent("", "  ")
				return enc.Encode(d)
			}
			printDescription(cmd.OutOrStdout(), d)
			return nil
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print the description as JSON")
	return cmd
}

func describe(ctx context.Context, url string) (fairlead.Description, error) {
	p, err := fairlead.Open(ctx, url)
	if err != nil {
		return fairlead.Description{}, err
	}
	defer p.Close(context.WithoutCancel(ctx))
	return p.Describe(ctx)
}

func printDescription(out io.Writer, d fairlead.Description) {
	fmt.Fprintf(out, "%s %s %s\n", d.Provider, d.Version, d.Endpoint)
	for _, note := range d.Notes {
		fmt.Fprintln(out, "-", note)
	}
	for _, fd := range conformance.Facets(d) {
		printFacet(out, fd)
	}
}

func printFacet(out io.Writer, fd fairlead.FacetDescription) {
	t := newTable(out, string(fd.Facet), "claim", "holds", "meaning, or what is missing")
	for _, info := range conformance.ClaimsOf(fd.Facet) {
		if m, lacks := info.Claim.Check(fd); lacks {
			t.AppendRow(table.Row{info.Claim, "no", reasonText(m.Reason, m.Remedy)})
		} else {
			t.AppendRow(table.Row{info.Claim, "yes", meaning(fd, info)})
		}
	}
	t.Render()
	for _, l := range limitLines(fd.Limits) {
		fmt.Fprintln(out, "  ", l)
	}
}

// meaning says what a claim that holds means, and what it rests on.
func meaning(fd fairlead.FacetDescription, info fairlead.ClaimInfo) string {
	if b, ok := fd.Basis(info.Claim); ok {
		return fmt.Sprintf("%s; %s: %s", info.Rule, b.Kind, b.Detail)
	}
	return info.Rule
}

// limitLines returns a line for each limit that applies.
func limitLines(l fairlead.Limits) []string {
	var lines []string
	size := func(what string, n int) {
		if n > 0 {
			lines = append(lines, fmt.Sprintf("%s: %d", what, n))
		}
	}
	size("longest key, bytes", l.MaxKeyBytes)
	size("longest value, bytes", l.MaxValueBytes)
	size("operations in a transaction", l.MaxTxnOps)
	size("longest message, bytes", l.MaxMessageBytes)
	size("longest rpc message, bytes", l.MaxFrameBytes)
	size("operations in one call", l.MaxBatch)
	for _, d := range []struct {
		what string
		d    fmt.Stringer
		n    int64
	}{
		{"times to live are exact to", l.TTLResolution, int64(l.TTLResolution)},
		{"shortest time to live", l.MinTTL, int64(l.MinTTL)},
		{"longest time to live", l.MaxTTL, int64(l.MaxTTL)},
		{"shortest acknowledgement deadline", l.MinAckDeadline, int64(l.MinAckDeadline)},
		{"longest acknowledgement deadline", l.MaxAckDeadline, int64(l.MaxAckDeadline)},
		{"longest delay of a nack", l.MaxDelay, int64(l.MaxDelay)},
		{"ids are remembered for", l.DedupeWindow, int64(l.DedupeWindow)},
	} {
		if d.n > 0 {
			lines = append(lines, fmt.Sprintf("%s: %v", d.what, d.d))
		}
	}
	return lines
}
