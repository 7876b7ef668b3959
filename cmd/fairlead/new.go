package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os/exec"
	"path/filepath"
	"runtime/debug"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"fairlead.dev/cmd/fairlead/internal/scaffold"
	"fairlead.dev/providers"
)

func newNewCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:         "new",
		Short:       "Write a new module",
		Args:        requireSubcommand,
		RunE:        func(*cobra.Command, []string) error { return nil },
		Annotations: commandGroup,
	}
	cmd.AddCommand(newProviderCommand())
	return cmd
}

// newProviderFlags are the flags of "fairlead new provider".
type newProviderFlags struct{ dir, module, fairlead string }

func newProviderCommand() *cobra.Command {
	var f newProviderFlags
	cmd := &cobra.Command{
		Use:   "provider NAME",
		Short: "Write the module of a new provider that passes the conformance suite",
		Long: `Write a Go module with a provider for NAME:// and its plugin, fairlead-NAME.

The provider is a key-value store in memory. It compiles, runs and passes the
conformance suite. Its README.md says what to change first.`,
		Example: "  fairlead new provider acme --fairlead .\n  fairlead new provider acme --dir ../acme --module git.example.com/us/acme --fairlead .",
		Args:    requireOneArgument("the name of the provider", "acme"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return runNewProvider(cmd, args[0], f)
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&f.dir, "dir", "", "`folder` to create (default fairlead-NAME)")
	flags.StringVar(&f.module, "module", "", "`path` of the module (default example.com/fairlead-NAME)")
	flags.StringVar(&f.fairlead, "fairlead", "", "`folder` with a checkout of fairlead.dev, used instead of a released version; required until one is published")
	return cmd
}

func runNewProvider(cmd *cobra.Command, name string, f newProviderFlags) error {
	if f.dir == "" {
		f.dir = "fairlead-" + name
	}
	if f.module == "" {
		f.module = "example.com/fairlead-" + name
	}
	p, err := f.provider(name)
	if err != nil {
		return err
	}
	err = p.Write(f.dir)
	if errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("the folder %q exists already: give another one with --dir, or remove it", f.dir)
	}
	if err != nil {
		return &operationError{err}
	}
	fmt.Fprintf(cmd.OutOrStdout(), "wrote %s: the module %s with the provider %s://\n", f.dir, f.module, name)
	if err := tidyModule(cmd.Context(), f.dir); err != nil {
		return &operationError{err}
	}
	fmt.Fprintf(cmd.OutOrStdout(), "next: cd %s && go test ./...    (and read %s)\n", f.dir, filepath.Join(f.dir, "README.md"))
	return nil
}

// provider validates the name and the flags.
func (f newProviderFlags) provider(name string) (p scaffold.Provider, err error) {
	if err := scaffold.CheckName(name, schemeNames()); err != nil {
		return p, err
	}
	if err := scaffold.CheckModule(f.module); err != nil {
		return p, err
	}
	build, _ := debug.ReadBuildInfo()
	source, err := scaffold.FindFairlead(build, f.fairlead)
	return scaffold.Provider{Name: name, Module: f.module, Fairlead: source}, err
}

func schemeNames() []string {
	var names []string
	for _, s := range providers.Schemes() {
		names = append(names, s.Name)
	}
	return names
}

// tidyTimeout bounds the download of the modules that fairlead.dev requires.
const tidyTimeout = 5 * time.Minute

// tidyModule adds the modules that fairlead.dev requires to the go.mod in dir.
func tidyModule(ctx context.Context, dir string) error {
	ctx, cancel := context.WithTimeout(ctx, tidyTimeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, "go", "mod", "tidy")
	cmd.Dir = dir
	cmd.WaitDelay = time.Second
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("all files are written, but \"go mod tidy\" failed in %s; correct what it reports, then run it in that folder (if fairlead.dev is not published where you are, remove the folder and give --fairlead FOLDER, a checkout): %w\n%s", dir, err, strings.TrimSpace(string(out)))
	}
	return nil
}
