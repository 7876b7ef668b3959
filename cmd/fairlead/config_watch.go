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
	cmd := settingsCommand(&cobra.Command{
		Use:   "watch URL [KEY...] --name NAME",
		Short: "Print settings, and each change of them until interrupted",
		Long: `Print the settings, or those keys of them, and then a line for each change. The keys
of one change are printed together where the backend tells them together. While
the backend is away, the command says so on standard error and waits; states in
between may be passed over, and the last one never is.`,
		Example: "  fairlead config watch redis://127.0.0.1:6379 --name shop",
		Args:    urlFirst,
		RunE: func(cmd *cobra.Command, args []string) error {
			w.keys, w.out, w.errs = args[1:], cmd.OutOrStdout(), cmd.ErrOrStderr()
			return w.withSource(cmd.Context(), args[0], func(s *config.Source) error {
				return w.follow(cmd.Context(), s)
			})
		},
	}, &w.settingsFlags, true)
	cmd.Flags().IntVar(&w.limit, "changes", 0, "end after that many changes; 0 for none")
	return cmd
}

// settingsWatch is a run of "fairlead config watch".
type settingsWatch struct {
	settingsFlags
	keys      []string // none for all
	limit     int
	out, errs io.Writer

	known config.State // what was printed
	away  bool
}

func (w *settingsWatch) follow(ctx context.Context, s *config.Source) error {
	changes := -1 // the first state is none
	for state, err := range s.Watch(ctx, "") {
		if ctx.Err() != nil {
			return nil // the user has seen enough
		}
		if err != nil {
			if err := w.missing(err); err != nil {
				return err
			}
			continue
		}
		w.back()
		if w.print(state) || changes < 0 {
			changes++
		}
		if w.limit > 0 && changes >= w.limit {
			return nil
		}
	}
	return nil
}

// missing says, once, that the settings cannot be read, and returns the error
// if that will not pass.
func (w *settingsWatch) missing(err error) error {
	if c := fairlead.CodeOf(err); c == fairlead.Closed || c == fairlead.PermissionDenied {
		return err
	}
	if !w.away {
		fmt.Fprintln(w.errs, "waiting:", err)
	}
	w.away = true
	return nil
}

func (w *settingsWatch) back() {
	if w.away {
		fmt.Fprintln(w.errs, "the settings can be read again")
	}
	w.away = false
}

// print prints what differs from what was printed before, and reports whether
// that is anything.
func (w *settingsWatch) print(state config.State) bool {
	changed := []setting{}
	for _, key := range changedKeys(w.known, state) {
		if len(w.keys) == 0 || slices.Contains(w.keys, key) {
			changed = append(changed, w.after(key, state))
		}
	}
	for _, s := range changed {
		if w.json {
			_ = json.NewEncoder(w.out).Encode(s) // a line; what cannot be printed is seen by nobody
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
		if before, was := old.Values[key]; !was || string(before.Data) != string(v.Data) || before.Version != v.Version {
			keys = append(keys, key)
		}
	}
	for key := range old.Values {
		if _, is := now.Values[key]; !is {
			keys = append(keys, key)
		}
	}
	slices.Sort(keys)
	return keys
}
