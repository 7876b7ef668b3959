package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/spf13/cobra"

	"fairlead.dev/config"
)

func newConfigExplain() *cobra.Command {
	var f settingsFlags
	var key string
	cmd := addSettingsFlags(&cobra.Command{
		Use:   "explain URL... [--name NAME] [--key KEY]",
		Short: "Print which layer the value of each key comes from",
		Long: `Read layers, where a later layer overrides an earlier one. For each key, print the
value that applies, its layer, and the values that it overrides. A layer is the URL
of a backend, file:PATH (YAML, JSON or TOML) or env:PREFIX (the environment of this
process).

The values are not decoded, so a value that a program refuses is explained, too.`,
		Example: "  fairlead config explain file:app.yaml env:SHOP_ redis://127.0.0.1:6379 --name shop --key limits.rate",
		Args:    requireURLFirst,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := f.checkNames(cmd, args...); err != nil {
				return err
			}
			all, err := f.explain(cmd, key, args...)
			if err != nil {
				return classifyError(err)
			}
			if f.json {
				return printJSON(cmd.OutOrStdout(), all)
			}
			t := newTable(cmd.OutOrStdout(), "Settings", "key", "value", "layer", "overrides")
			for _, e := range all {
				t.AppendRow(explanationRow(e))
			}
			t.Render()
			return nil
		},
	}, &f)
	cmd.Flags().StringVar(&key, "key", "", "a key or a group of keys (default: all)")
	return cmd
}

// explain explains the layers that URLs name.
func (f settingsFlags) explain(cmd *cobra.Command, key string, urls ...string) ([]config.Explanation, error) {
	var opts []config.Option
	for _, url := range urls {
		opts = append(opts, config.FromURL(url, f.name))
	}
	if f.reveal {
		opts = append(opts, config.Reveal())
	}
	return config.Explain[any](cmd.Context(), key, opts...)
}

// explanationRow returns the row of a key: the value that applies, and the values
// that it overrides, the nearest layer first.
func explanationRow(e config.Explanation) table.Row {
	var below []string
	for _, o := range e.Origins {
		value := setting{Value: o.Value}.text()
		if o.Wins {
			slices.Reverse(below)
			return table.Row{e.Key, value, o.Layer, strings.Join(below, "\n")}
		}
		below = append(below, fmt.Sprintf("%s (%s)", value, o.Layer))
	}
	return table.Row{e.Key}
}
