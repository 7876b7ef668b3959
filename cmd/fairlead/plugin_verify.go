package main

import (
	"fmt"
	"slices"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/spf13/cobra"

	"fairlead.dev/plugins"
)

func newPluginVerify() *cobra.Command {
	var asJSON bool
	return jsonFlag(&cobra.Command{
		Use:   "verify [NAME]",
		Short: "Check plugins as a host does before it starts them",
		Long: `Check that a plugin, or every plugin, may be started: its manifest is valid, its
binary has the checksum that the manifest says and is in the plugin folder, and
nobody else may change them. The exit code is 1 if one is refused.`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			found, err := toVerify(args)
			if err != nil {
				return err
			}
			return runVerify(cmd, found, asJSON)
		},
	}, &asJSON)
}

// toVerify returns the plugin that is named, or all that are not hidden.
func toVerify(args []string) ([]plugins.Installed, error) {
	if len(args) > 0 {
		p, err := findPlugin(args[0])
		return []plugins.Installed{p}, err
	}
	all, err := plugins.Find(plugins.Folders())
	if err != nil {
		return nil, &failed{err}
	}
	if len(all) == 0 {
		return nil, &failed{fmt.Errorf("there is no plugin in %s", nowhere(nil))}
	}
	return unhidden(all), nil
}

// unhidden leaves out plugins that one of the same name hides: no host uses
// them.
func unhidden(all []plugins.Installed) (used []plugins.Installed) {
	for _, p := range all {
		if !slices.ContainsFunc(used, func(u plugins.Installed) bool { return u.Name == p.Name }) {
			used = append(used, p)
		}
	}
	return used
}

func runVerify(cmd *cobra.Command, found []plugins.Installed, asJSON bool) error {
	var results []installed
	var refused []string
	t := newTable(cmd.OutOrStdout(), "Plugins", "name", "binary", "problem")
	for _, p := range found {
		problem := p.Verify()
		if problem != nil {
			refused = append(refused, p.Name)
		}
		results = append(results, toJSON(p, problem))
		t.AppendRow(table.Row{p.Name, p.Path, orNone(problem)})
	}
	if asJSON {
		if err := printJSON(cmd.OutOrStdout(), results); err != nil {
			return &failed{err}
		}
	} else {
		t.Render()
	}
	if len(refused) > 0 {
		return &failed{fmt.Errorf("%d of %d plugins refused: %v", len(refused), len(found), refused)}
	}
	return nil
}
