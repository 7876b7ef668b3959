package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"fairlead.dev/plugins"
)

func newPluginInstall() *cobra.Command {
	var dir string
	var asJSON bool
	cmd := addJSONFlag(&cobra.Command{
		Use:   "install BINARY",
		Short: "Copy a plugin's binary into a plugin folder, and write its manifest",
		Long: `Copy a plugin's binary into a plugin folder, and write its manifest, with the
binary's checksum. The command runs the binary to get the manifest, so only install
a binary that you trust. An installed plugin of the same name is replaced.`,
		Example: "  fairlead plugin install bin/fairlead-acme\n  fairlead plugin install bin/fairlead-acme --dir /usr/local/lib/fairlead/plugins",
		Args:    requireOneArgument("the path of a plugin's binary", "bin/fairlead-acme"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if dir == "" {
				dir = plugins.Folders()[0]
			}
			p, err := plugins.Install(cmd.Context(), args[0], dir)
			if err != nil {
				return classifyError(err)
			}
			if asJSON {
				return printJSON(cmd.OutOrStdout(), toJSON(p, nil))
			}
			fmt.Fprintf(cmd.OutOrStdout(), "installed %s: %s\n", p.Path, strings.Join(schemesOf(p), ", "))
			return nil
		},
	}, &asJSON)
	cmd.Flags().StringVar(&dir, "dir", "", "plugin `folder` (default: the first one, see \"fairlead plugin --help\")")
	return cmd
}
