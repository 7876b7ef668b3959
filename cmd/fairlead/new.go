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

func newNew() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "new",
		Short: "Write the beginnings of something",
		Args:  subcommand,
		RunE:  func(*cobra.Command, []string) error { return nil },
	}
	cmd.AddCommand(newNewProvider())
	return cmd
}

// newProviderFlags are the flags of "fairlead new provider".
type newProviderFlags struct{ dir, module, fairlead string }

func newNewProvider() *cobra.Command {
	var f newProviderFlags
	cmd := &cobra.Command{
		Use:   "provider NAME",
		Short: "Write the module of a new provider, which conforms as it is",
		Long: `Write a Go module with a provider for NAME:// and its plugin, fairlead-NAME.

It is a key-value store in memory that compiles, runs and passes the
conformance suite; its README.md says what to change first.`,
		Example: "  fairlead new provider acme\n  fairlead new provider acme --dir ../acme --module git.example.com/us/acme",
		Args:    oneArgument("the name of the provider", "acme"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return runNewProvider(cmd, args[0], f)
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&f.dir, "dir", "", "`folder` to make (default fairlead-NAME)")
	flags.StringVar(&f.module, "module", "", "`path` of the module (default example.com/fairlead-NAME)")
	flags.StringVar(&f.fairlead, "fairlead", "", "`folder` with a checkout of fairlead.dev, to be used instead of a released version")
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
		return fmt.Errorf("%q exists: name another folder with --dir, or remove it", f.dir)
	}
	if err != nil {
		return &failed{err}
	}
	fmt.Fprintf(cmd.OutOrStdout(), "wrote %s: the module %s with the provider %s://\n", f.dir, f.module, name)
	if err := tidy(cmd.Context(), f.dir); err != nil {
		return &failed{err}
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

// tidyTimeout bounds the download of what fairlead.dev needs.
const tidyTimeout = 5 * time.Minute

// tidy adds to the go.mod in dir what fairlead.dev needs.
func tidy(ctx context.Context, dir string) error {
	ctx, cancel := context.WithTimeout(ctx, tidyTimeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, "go", "mod", "tidy")
	cmd.Dir = dir
	cmd.WaitDelay = time.Second
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("all files are written, but \"go mod tidy\" failed in %s; run it there again once what it says is mended: %w\n%s", dir, err, strings.TrimSpace(string(out)))
	}
	return nil
}
