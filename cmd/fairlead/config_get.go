package main

import (
	"fmt"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/spf13/cobra"

	"fairlead.dev/config"
)

func newConfigGet() *cobra.Command {
	var f settingsFlags
	return addSettingsFlags(&cobra.Command{
		Use:   "get URL [KEY...] [--name NAME]",
		Short: "Print settings and their versions, or the bare value of one key",
		Long: `Print the settings of a name. They are a snapshot of one moment if the backend
claims config.Snapshot. For a single KEY, print only the value.

The URL can also be file:PATH (YAML, JSON or TOML) or env:PREFIX (the environment of
this process), which have no name and no versions. There, a KEY can also be a group.

To change a key only if it still has the version shown, give the version to
"fairlead config set --if KEY=VERSION".`,
		Example: "  fairlead config get redis://127.0.0.1:6379 --name shop",
		Args:    requireURLFirst,
		RunE: func(cmd *cobra.Command, args []string) error {
			if isLayer(args[0]) {
				return classifyError(f.printLayer(cmd, args[0], args[1:]))
			}
			return f.withSource(cmd, args[0], func(s *config.Source) error {
				return f.printSettings(cmd, s, args[1:])
			})
		},
	}, &f)
}

func (f settingsFlags) printSettings(cmd *cobra.Command, s *config.Source, keys []string) error {
	state, err := s.Snapshot(cmd.Context())
	if err != nil {
		return err
	}
	all, err := f.settings(state, keys)
	switch {
	case err != nil:
		return err
	case f.json:
		return printJSON(cmd.OutOrStdout(), all)
	case len(keys) == 1:
		return printValue(cmd, string(state.Values[keys[0]].Data), f.shown(keys[0], string(state.Values[keys[0]].Data)))
	}
	f.printTable(cmd, f.name, all)
	return nil
}

func (f settingsFlags) printTable(cmd *cobra.Command, title string, all []setting) {
	t := newTable(cmd.OutOrStdout(), title, "key", "value", "version")
	for _, one := range all {
		t.AppendRow(table.Row{one.Key, one.text(), one.Version})
	}
	t.Render()
}

// printLayer prints the settings of a file or of the environment.
func (f settingsFlags) printLayer(cmd *cobra.Command, url string, keys []string) error {
	if len(keys) == 0 {
		keys = []string{""} // the group of all keys
	}
	all := []setting{}
	for _, key := range keys {
		found, err := config.Explain[any](cmd.Context(), key, config.FromURL(url, ""), config.Reveal())
		if err != nil {
			return err
		}
		for _, e := range found {
			all = append(all, setting{Key: e.Key, Value: f.shown(e.Key, e.Origins[0].Value)})
		}
		if len(keys) == 1 && len(found) == 1 && key != "" && !f.json {
			return printValue(cmd, found[0].Origins[0].Value, all[0].Value)
		}
	}
	if f.json {
		return printJSON(cmd.OutOrStdout(), all)
	}
	f.printTable(cmd, url, all)
	return nil
}

// printValue prints the bare value of a key as it may be shown.
func printValue(cmd *cobra.Command, value, shown string) error {
	if value != shown {
		fmt.Fprintln(cmd.ErrOrStderr(), "the key is named like a secret, or its value has a password in it; --reveal prints the value")
	}
	_, err := fmt.Fprintln(cmd.OutOrStdout(), shown)
	return err
}
