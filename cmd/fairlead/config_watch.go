package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"slices"

	"github.com/spf13/cobra"

	"fairlead.dev"
	"fairlead.dev/config"
)

func newConfigWatch() *cobra.Command {
	var w settingsWatch
	cmd := addSettingsFlags(&cobra.Command{
		Use:   "watch URL [KEY...] --name NAME",
		Short: "Print settings, then every change, until interrupted",
		Long: `Print the settings, or only the given keys, and then a line for each change. Keys
that were changed together are printed together if the backend reports them
together. While the backend is unavailable, the command reports it on standard error
and waits. Intermediate states may be skipped; the last state is never skipped.`,
		Example: "  fairlead config watch redis://127.0.0.1:6379 --name shop",
		Args:    requireURLFirst,
		RunE: func(cmd *cobra.Command, args []string) error {
			w.keys, w.out, w.errs = args[1:], cmd.OutOrStdout(), cmd.ErrOrStderr()
			return w.withSource(cmd, args[0], func(s *config.Source) error {
				return w.follow(cmd.Context(), s)
			})
		},
	}, &w.settingsFlags)
	cmd.Flags().IntVar(&w.limit, "changes", 0, "end after this number of changes (0: no limit)")
	return cmd
}

// settingsWatch is a run of "fairlead config watch".
type settingsWatch struct {
	settingsFlags
	keys      []string // all if empty
	limit     int
	out, errs io.Writer

	known config.State // the state that was printed last
	away  bool
}

func (w *settingsWatch) follow(ctx context.Context, s *config.Source) error {
	changes := -1 // the first state is not a change
	for state, err := range s.Watch(ctx, "") {
		if ctx.Err() != nil {
			return nil // interrupted
		}
		if err != nil {
			if err := w.reportUnreadable(err); err != nil {
				return err
			}
			continue
		}
		w.reportReadable()
		if w.printChanges(state) || changes < 0 {
			changes++
		}
		if w.limit > 0 && changes >= w.limit {
			return nil
		}
	}
	return nil
}

// reportUnreadable prints once that the settings cannot be read. It returns the
// error if waiting cannot help.
func (w *settingsWatch) reportUnreadable(err error) error {
	if c := fairlead.CodeOf(err); c == fairlead.Closed || c == fairlead.PermissionDenied {
		return err
	}
	if !w.away {
		fmt.Fprintln(w.errs, "waiting:", err)
	}
	w.away = true
	return nil
}

func (w *settingsWatch) reportReadable() {
	if w.away {
		fmt.Fprintln(w.errs, "the settings can be read again")
	}
	w.away = false
}

// printChanges prints the keys that differ from the last printed state, and
// reports whether there are any.
func (w *settingsWatch) printChanges(state config.State) bool {
	changed := []setting{}
	for _, key := range changedKeys(w.known, state) {
		if len(w.keys) == 0 || slices.Contains(w.keys, key) {
			changed = append(changed, w.settingIn(key, state))
		}
	}
	for _, s := range changed {
		if w.json {
			_ = json.NewEncoder(w.out).Encode(s) // one line; an error of the output cannot be reported anywhere
			continue
		}
		fmt.Fprintf(w.out, "%s: %s\n", s.Key, s.state())
	}
	w.known = state
	return len(changed) > 0
}

// changedKeys returns the keys that differ, in order.
func changedKeys(old, now config.State) []string {
	var keys []string
	for key, v := range now.Values {
		if before, existed := old.Values[key]; !existed || string(before.Data) != string(v.Data) || before.Version != v.Version {
			keys = append(keys, key)
		}
	}
	for key := range old.Values {
		if _, exists := now.Values[key]; !exists {
			keys = append(keys, key)
		}
	}
	slices.Sort(keys)
	return keys
}
