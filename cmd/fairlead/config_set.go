package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"fairlead.dev"
	"fairlead.dev/config"
)

// setFlags are the flags of "fairlead config set".
type setFlags struct {
	settingsFlags
	files     []string
	deletes   []string
	versions  []string
	absent    []string
	force     bool
	notAtomic bool
}

func newConfigSet() *cobra.Command {
	var f setFlags
	cmd := settingsCommand(&cobra.Command{
		Use:   "set URL [KEY=VALUE...] --name NAME",
		Short: "Change settings, several at once, without overwriting somebody else's change",
		Long: `Change settings: all of them at once or none, where the backend can do that; where
it cannot, several keys need --not-atomic.

No change of somebody else is overwritten: each key must still have the version
given with --if (as "fairlead config get" printed it), or else the one that it had
when this command began and whose value it prints. Otherwise nothing is changed,
and the exit code is 1. --force changes whatever is there.`,
		Example: `  fairlead config set redis://127.0.0.1:6379 --name shop limits/rate=50 log-level=debug
  fairlead config set redis://127.0.0.1:6379 --name shop --if limits/rate=1a2b limits/rate=60
  fairlead config set redis://127.0.0.1:6379 --name shop --file db/password=- < secret.txt`,
		Args: urlFirst,
		RunE: func(cmd *cobra.Command, args []string) error {
			return f.run(cmd, args[0], args[1:])
		},
	}, &f.settingsFlags, true)
	flags := cmd.Flags()
	flags.StringArrayVar(&f.files, "file", nil, "KEY=PATH: set a key to the content of a file; - is standard input")
	flags.StringArrayVar(&f.deletes, "delete", nil, "KEY: delete a key")
	flags.StringArrayVar(&f.versions, "if", nil, "KEY=VERSION: change nothing unless this changed key has the version")
	flags.StringArrayVar(&f.absent, "if-absent", nil, "KEY: change nothing unless this changed key does not exist")
	flags.BoolVar(&f.force, "force", false, "change the keys whatever they hold by now")
	flags.BoolVar(&f.notAtomic, "not-atomic", false, "change several keys one by one, where the backend cannot do better")
	cmd.MarkFlagsMutuallyExclusive("force", "if")
	cmd.MarkFlagsMutuallyExclusive("force", "if-absent")
	return cmd
}

func (f setFlags) run(cmd *cobra.Command, url string, pairs []string) error {
	changes, err := f.changes(cmd.InOrStdin(), pairs)
	if err != nil {
		return err
	}
	demanded, err := f.demanded(changes)
	if err != nil {
		return err
	}
	return f.withSource(cmd.Context(), url, func(s *config.Source) error {
		return f.set(cmd.Context(), cmd.OutOrStdout(), s, changes, demanded)
	})
}

// changes returns what the arguments say, unchecked.
func (f setFlags) changes(stdin io.Reader, pairs []string) (all []config.Change, err error) {
	for _, pair := range pairs {
		key, value, ok := strings.Cut(pair, "=")
		if !ok {
			return nil, fmt.Errorf("the argument %q has no =; give KEY=VALUE (KEY= for an empty value, --delete KEY to delete)", pair)
		}
		all = append(all, config.Put(key, []byte(value)))
	}
	for _, pair := range f.files {
		key, path, ok := strings.Cut(pair, "=")
		if !ok {
			return nil, fmt.Errorf("--file is %q; give KEY=PATH", pair)
		}
		data, err := readInput(stdin, path)
		if err != nil {
			return nil, &failed{err}
		}
		all = append(all, config.Put(key, data))
	}
	for _, key := range f.deletes {
		all = append(all, config.Delete(key))
	}
	if len(all) == 0 {
		return nil, errors.New("there is nothing to change; give KEY=VALUE, --file or --delete")
	}
	return all, nil
}

func readInput(stdin io.Reader, path string) ([]byte, error) {
	if path == "-" {
		return io.ReadAll(stdin)
	}
	return os.ReadFile(path)
}

// demanded returns the versions that keys must have, "" for none.
func (f setFlags) demanded(changes []config.Change) (map[string]string, error) {
	versions := map[string]string{}
	for _, pair := range f.versions {
		key, text, _ := strings.Cut(pair, "=")
		version, err := parseVersion(text)
		if version == "" || err != nil {
			return nil, fmt.Errorf("--if is %q; give KEY=VERSION, with the version that \"fairlead config get\" prints", pair)
		}
		versions[key] = version
	}
	for _, key := range f.absent {
		versions[key] = ""
	}
	for key := range versions {
		if !slices.ContainsFunc(changes, func(c config.Change) bool { return c.Key == key }) {
			return nil, fmt.Errorf("there is a condition on the key %q, which is not changed; conditions are on changed keys", key)
		}
	}
	return versions, nil
}

// set makes the changes and prints them.
func (f setFlags) set(ctx context.Context, out io.Writer, s *config.Source, changes []config.Change, demanded map[string]string) error {
	facet := s.Describe()
	if len(changes) > 1 && !f.notAtomic && !facet.Has(config.AtomicSet) {
		return fairlead.Errorf(fairlead.Invalid, "this backend cannot change several keys at once (%s); change one, or give --not-atomic", config.AtomicSet)
	}
	before, err := s.Snapshot(ctx)
	if err != nil {
		return err
	}
	checked := []config.Change{}
	for _, c := range changes {
		checked = append(checked, f.checked(c, before, demanded, facet))
	}
	if _, err := s.Set(ctx, checked...); err != nil {
		if errors.Is(err, fairlead.Conflict) {
			return fmt.Errorf("%w: nothing was changed, because a key is not as it was; look again with: fairlead config get", err)
		}
		return err
	}
	return f.printChanges(ctx, out, s, before, changes)
}

// checked makes a change depend on the version that was demanded, or else on
// that of before.
func (f setFlags) checked(c config.Change, before config.State, demanded map[string]string, facet fairlead.FacetDescription) config.Change {
	version, is := demanded[c.Key]
	now, exists := before.Values[c.Key]
	switch {
	case is:
	case f.force, !facet.Has(config.CompareAndSet), c.Delete && !exists:
		return c
	default:
		version = now.Version
	}
	c.Checked, c.Version = true, version
	return c
}

// printChanges prints what the keys were and are.
func (f setFlags) printChanges(ctx context.Context, out io.Writer, s *config.Source, before config.State, changes []config.Change) error {
	after, err := s.Snapshot(ctx)
	if err != nil {
		return fmt.Errorf("the settings are changed, but cannot be read back: %w", err)
	}
	all := []setting{}
	for _, c := range changes {
		all = append(all, f.after(c.Key, after))
	}
	if f.json {
		return printJSON(out, all)
	}
	for _, now := range all {
		was := f.after(now.Key, before)
		fmt.Fprintf(out, "%s: %s, was %s\n", now.Key, now.state(), was.state())
	}
	return nil
}

// after returns a key of a state, as deleted if it is not there.
func (f settingsFlags) after(key string, state config.State) setting {
	v, ok := state.Values[key]
	if !ok {
		return setting{Key: key, Deleted: true}
	}
	return f.setting(key, v)
}

func (s setting) state() string {
	if s.Deleted {
		return "not set"
	}
	return fmt.Sprintf("%s (version %s)", s.text(), s.Version)
}
