package main

import (
	"cmp"
	"fmt"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/spf13/cobra"

	"fairlead.dev/config"
)

func newConfigDiff() *cobra.Command {
	var f settingsFlags
	var other string
	cmd := addSettingsFlags(&cobra.Command{
		Use:   "diff URL URL [--name NAME] [--other-name NAME]",
		Short: "Compare settings on two backends, or with a file",
		Long: `Compare the settings of two layers. A layer is the URL of a backend, file:PATH
(YAML, JSON or TOML) or env:PREFIX. Two keys are equal if they only differ in case,
in "_" and "-", or in "/" and "." between their parts. Values are compared as text.
Secrets are compared but not printed.

The exit code is 0 if the settings are equal, and 1 if they differ.`,
		Example: "  fairlead config diff redis://127.0.0.1:6379 file:app.yaml --name shop",
		Args:    requireArguments(2, 2, "two URLs"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := f.checkNames(cmd, args...); err != nil {
				return err
			}
			all, err := config.Explain[any](cmd.Context(), "",
				config.FromURL(args[0], f.name), config.FromURL(args[1], cmp.Or(other, f.name)), config.Reveal())
			if err != nil {
				return classifyError(err)
			}
			return f.printDiff(cmd, differences(all))
		},
	}, &f)
	cmd.Flags().StringVar(&other, "other-name", "", "the name at the second URL (default: the same as --name)")
	return cmd
}

// difference is a key whose values differ; nil stands for a missing value.
type difference struct {
	Key    string  `json:"key"`
	Left   *string `json:"left"`
	Right  *string `json:"right"`
	Secret bool    `json:"secret,omitempty"`
}

func differences(all []config.Explanation) []difference {
	found := []difference{}
	for _, e := range all {
		d := difference{Key: e.Key, Secret: e.Secret}
		for _, o := range e.Origins {
			if o.Index == 0 {
				d.Left = &o.Value
			} else {
				d.Right = &o.Value
			}
		}
		if d.Left == nil || d.Right == nil || *d.Left != *d.Right {
			found = append(found, d)
		}
	}
	return found
}

func (f settingsFlags) printDiff(cmd *cobra.Command, found []difference) error {
	for i := range found {
		found[i].Left, found[i].Right = f.redact(found[i], found[i].Left), f.redact(found[i], found[i].Right)
	}
	if f.json {
		if err := printJSON(cmd.OutOrStdout(), found); err != nil {
			return err
		}
	} else if len(found) > 0 {
		t := newTable(cmd.OutOrStdout(), "Differences", "key", "first", "second")
		for _, d := range found {
			t.AppendRow(table.Row{d.Key, valueText(d.Left), valueText(d.Right)})
		}
		t.Render()
	}
	if len(found) == 0 {
		return nil
	}
	return &operationError{fmt.Errorf("%d keys differ", len(found))}
}

// redact returns one of the values of a difference as it may be shown.
func (f settingsFlags) redact(d difference, value *string) *string {
	if value == nil {
		return nil
	}
	shown := f.shown(d.Key, *value)
	return &shown
}

func valueText(value *string) string {
	if value == nil {
		return "not set"
	}
	return setting{Value: *value}.text()
}
