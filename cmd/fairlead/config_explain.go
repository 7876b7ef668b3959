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
	cmd := settingsCommand(&cobra.Command{
		Use:   "explain URL... [--name NAME] [--key KEY]",
		Short: "Say where the value of each key comes from, over several layers",
		Long: `Read layers, of which later ones win, and say for each key which value holds, whose
it is, and what lies below it. A layer is the URL of a backend, file:PATH (YAML,
JSON or TOML) or env:PREFIX (this process's environment).

The layers are not decoded: what a program refuses is explained as well.`,
		Example: "  fairlead config explain file:app.yaml env:SHOP_ redis://127.0.0.1:6379 --name shop --key limits.rate",
		Args:    urlFirst,
		RunE: func(cmd *cobra.Command, args []string) error {
			all, err := f.explain(cmd, key, args...)
			if err != nil {
				return fail(err)
			}
			if f.json {
				return printJSON(cmd.OutOrStdout(), all)
			}
			t := newTable(cmd.OutOrStdout(), "Settings", "key", "value", "from", "below it")
			for _, e := range all {
				t.AppendRow(explained(e))
			}
			t.Render()
			return nil
		},
	}, &f, false)
	cmd.Flags().StringVar(&key, "key", "", "a key, or a group of keys; all if it is left out")
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

// explained returns the row of a key: what wins, and what is below, the next
// one first.
func explained(e config.Explanation) table.Row {
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
