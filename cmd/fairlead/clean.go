package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"fairlead.dev"
	"fairlead.dev/conformance"
)

func newCleanCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "clean URL",
		Short: "Remove what interrupted conformance runs left on a backend",
		Long: `Remove the stores and topics whose names start with ` + conformance.Prefix + `, and
what the provider keeps for them and for services of such names. Print what was
removed, and what could not be removed, with the reason.

Do not run it during a conformance run on the same backend.`,
		Args: requireURL,
		RunE: func(cmd *cobra.Command, args []string) error {
			p, err := fairlead.Open(cmd.Context(), args[0])
			if err != nil {
				return classifyError(err)
			}
			defer p.Close(context.WithoutCancel(cmd.Context()))
			done, err := conformance.Clean(cmd.Context(), p)
			if err != nil {
				return classifyError(err)
			}
			for _, name := range done.Removed {
				fmt.Fprintln(cmd.OutOrStdout(), "removed", name)
			}
			for _, left := range done.Left {
				fmt.Fprintln(cmd.OutOrStdout(), "not removed:", left)
			}
			fmt.Fprintf(cmd.OutOrStdout(), "%d names removed\n", len(done.Removed))
			if len(done.Left) > 0 {
				return &operationError{fmt.Errorf("not everything could be removed; the lines that begin with \"not removed\" say why")}
			}
			return nil
		},
	}
}
