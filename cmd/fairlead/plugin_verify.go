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
	return addJSONFlag(&cobra.Command{
		Use:   "verify [NAME]",
		Short: "Check plugins in the way that a host does before it starts them",
		Long: `Check that a host may start a plugin, or every plugin: the manifest is valid, the
binary is in the plugin folder and has the checksum in the manifest, and no other
user can change them. The exit code is 1 if a plugin is refused.`,
		Example: "  fairlead plugin verify redis",
		Args:    requireArguments(0, 1, "the name of a plugin, or nothing for all"),
		RunE: func(cmd *cobra.Command, args []string) error {
			found, err := pluginsToVerify(args)
			if err != nil {
				return err
			}
			return runVerify(cmd, found, asJSON)
		},
	}, &asJSON)
}

// pluginsToVerify returns the named plugin, or all that are not hidden.
func pluginsToVerify(args []string) ([]plugins.Installed, error) {
	if len(args) > 0 {
		p, err := findPlugin(args[0])
		return []plugins.Installed{p}, err
	}
	all, err := plugins.Find(plugins.Folders())
	if err != nil {
		return nil, &operationError{err}
	}
	if len(all) == 0 {
		return nil, &operationError{fmt.Errorf("there is no plugin in %s", searchedFolders(nil))}
	}
	return withoutHidden(all), nil
}

// withoutHidden removes plugins that an earlier one of the same name hides, since
// no host uses them.
func withoutHidden(all []plugins.Installed) (used []plugins.Installed) {
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
		t.AppendRow(table.Row{p.Name, p.Path, problemText(problem)})
	}
	if asJSON {
		if err := printJSON(cmd.OutOrStdout(), results); err != nil {
			return &operationError{err}
		}
	} else {
		t.Render()
	}
	if len(refused) > 0 {
		return &operationError{fmt.Errorf("%d of %d plugins refused: %v", len(refused), len(found), refused)}
	}
	return nil
}
