package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
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
	cmd := addSettingsFlags(&cobra.Command{
		Use:   "set URL [KEY=VALUE...] --name NAME",
		Short: "Change one or more settings without overwriting another operator's change",
		Long: `Change settings. If the backend claims config.AtomicSet, either all changes are made
or none. Otherwise, more than one key requires --not-atomic.

The command does not overwrite another operator's change. Each key must still have
the version given with --if (from "fairlead config get"), or else the version that it
had when this command began. Otherwise nothing is changed, and the exit code is 1.
With --force, the keys are changed without this check, also if another program has
written a value that cannot be read.`,
		Example: `  fairlead config set redis://127.0.0.1:6379 --name shop limits/rate=50 log-level=debug
  fairlead config set redis://127.0.0.1:6379 --name shop --if limits/rate=1a2b limits/rate=60
  fairlead config set redis://127.0.0.1:6379 --name shop --file db/password=- < secret.txt`,
		Args: requireURLFirst,
		RunE: func(cmd *cobra.Command, args []string) error {
			return f.run(cmd, args[0], args[1:])
		},
	}, &f.settingsFlags)
	flags := cmd.Flags()
	flags.StringArrayVar(&f.files, "file", nil, "KEY=PATH: set a key to the content of a file; - reads standard input")
	flags.StringArrayVar(&f.deletes, "delete", nil, "KEY: delete a key")
	flags.StringArrayVar(&f.versions, "if", nil, "KEY=VERSION: change nothing unless KEY, which must be among the changed keys, has this version")
	flags.StringArrayVar(&f.absent, "if-absent", nil, "KEY: change nothing if KEY, which must be among the changed keys, exists")
	flags.BoolVar(&f.force, "force", false, "change the keys without a check of their versions")
	flags.BoolVar(&f.notAtomic, "not-atomic", false, "change several keys one by one if the backend cannot change them together")
	cmd.MarkFlagsMutuallyExclusive("force", "if")
	cmd.MarkFlagsMutuallyExclusive("force", "if-absent")
	return cmd
}

func (f setFlags) run(cmd *cobra.Command, url string, pairs []string) error {
	changes, err := f.changes(cmd.InOrStdin(), pairs)
	if err != nil {
		return err
	}
	if err := checkClashes(changes, config.State{}); err != nil {
		return err
	}
	conditions, err := f.conditions(changes)
	if err != nil {
		return err
	}
	return f.withSource(cmd, url, func(s *config.Source) error {
		return f.applyChanges(cmd.Context(), cmd.OutOrStdout(), s, changes, conditions)
	})
}

// change is a change of one key that the arguments demand.
type change struct {
	key    string
	data   []byte
	delete bool
}

func (c change) unconditional() config.Change {
	if c.delete {
		return config.Delete(c.key)
	}
	return config.Put(c.key, c.data)
}

// ifVersion returns the change with the condition that its key has a version;
// "" means that the key must not exist.
func (c change) ifVersion(version string) config.Change {
	switch {
	case c.delete:
		return config.DeleteIf(c.key, version)
	case version == "":
		return config.Create(c.key, c.data)
	}
	return config.PutIf(c.key, c.data, version)
}

// changes returns the changes that the arguments name, without conditions.
func (f setFlags) changes(stdin io.Reader, pairs []string) (all []change, err error) {
	for i, pair := range pairs {
		key, value, ok := strings.Cut(pair, "=")
		if !ok { // it is not quoted: it may be a secret
			return nil, fmt.Errorf("argument %d after the URL has no =; give KEY=VALUE, KEY= for an empty value, or --delete KEY to delete a key", i+1)
		}
		all = append(all, change{key: key, data: []byte(value)})
	}
	for _, pair := range f.files {
		key, path, ok := strings.Cut(pair, "=")
		if !ok {
			return nil, errors.New("a --file has no =; give --file KEY=PATH")
		}
		data, err := readInput(stdin, path)
		if err != nil {
			return nil, &operationError{fmt.Errorf("the value of %q cannot be read from the file that --file gives: %w", key, withoutPath(err))}
		}
		all = append(all, change{key: key, data: data})
	}
	for _, key := range f.deletes {
		all = append(all, change{key: key, delete: true})
	}
	if len(all) == 0 {
		return nil, errors.New("there is nothing to change; give KEY=VALUE, --file or --delete")
	}
	return all, nil
}

// withoutPath returns the cause in an error of package os. The path may be the
// value itself, given by mistake.
func withoutPath(err error) error {
	var path *fs.PathError
	if errors.As(err, &path) {
		return path.Err
	}
	return err
}

func readInput(stdin io.Reader, path string) ([]byte, error) {
	if path == "-" {
		return io.ReadAll(stdin)
	}
	return os.ReadFile(path)
}

// conditions returns the versions that keys must have; "" means that the key must
// not exist.
func (f setFlags) conditions(changes []change) (map[string]string, error) {
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
		if !slices.ContainsFunc(changes, func(c change) bool { return c.key == key }) {
			return nil, fmt.Errorf("--if or --if-absent names the key %q, which is not changed; name a changed key", key)
		}
	}
	return versions, nil
}

// applyChanges makes the changes and prints them.
func (f setFlags) applyChanges(ctx context.Context, out io.Writer, s *config.Source, changes []change, conditions map[string]string) error {
	facet := s.Describe()
	if len(changes) > 1 && !f.notAtomic && !facet.Has(config.AtomicSet) {
		return fairlead.Errorf(fairlead.Invalid, "this backend cannot change several keys at once (it does not claim %s); change one key, or give --not-atomic", config.AtomicSet)
	}
	before, err := f.readBefore(ctx, s)
	if err != nil {
		return err
	}
	if err := checkClashes(changes, before); err != nil {
		return err
	}
	checked := []config.Change{}
	for _, c := range changes {
		checked = append(checked, f.withCondition(c, before, conditions, facet))
	}
	if _, err := s.Set(ctx, checked...); err != nil {
		if errors.Is(err, fairlead.Conflict) {
			return fmt.Errorf("%w: nothing was changed, because a key has another version now; read it with \"fairlead config get\" and decide again", err)
		}
		return err
	}
	return f.printChanges(ctx, out, s, before, changes)
}

// readBefore returns the settings before the change. With --force, a value that
// cannot be read does not prevent that it is replaced.
func (f setFlags) readBefore(ctx context.Context, s *config.Source) (config.State, error) {
	before, err := s.Snapshot(ctx)
	switch {
	case !errors.Is(err, fairlead.Internal):
		return before, err
	case f.force:
		return config.State{}, nil
	}
	return before, fmt.Errorf("%w; with --force, the value is replaced or deleted all the same", err)
}

// withCondition makes a change depend on the version that the flags demand, or
// else on the version before the change.
func (f setFlags) withCondition(c change, before config.State, conditions map[string]string, facet fairlead.FacetDescription) config.Change {
	version, demanded := conditions[c.key]
	now, exists := before.Values[c.key]
	switch {
	case demanded:
	case f.force, !facet.Has(config.CompareAndSet), c.delete && !exists:
		return c.unconditional()
	default:
		version = now.Version
	}
	return c.ifVersion(version)
}

// printChanges prints the values of the keys before and after.
func (f setFlags) printChanges(ctx context.Context, out io.Writer, s *config.Source, before config.State, changes []change) error {
	after, err := s.Snapshot(ctx)
	if err != nil {
		return fmt.Errorf("the settings were changed, but cannot be read back: %w", err)
	}
	all := []setting{}
	for _, c := range changes {
		all = append(all, f.settingIn(c.key, after))
	}
	if f.json {
		return printJSON(out, all)
	}
	for _, now := range all {
		was := f.settingIn(now.Key, before)
		fmt.Fprintf(out, "%s: %s, was %s\n", now.Key, now.state(), was.state())
	}
	return nil
}

// settingIn returns a key of a state, marked as deleted if it is missing.
func (f settingsFlags) settingIn(key string, state config.State) setting {
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
