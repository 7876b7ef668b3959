package main

import (
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	"github.com/spf13/cobra"
)

// drainTimeout is how long a plugin may take to end when it is told to.
const drainTimeout = 30 * time.Second

func newPluginRun() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "run NAME [-- FLAGS]",
		Short: "Run an installed plugin by hand, as a sidecar or to see its flags",
		Long: `Verify an installed plugin, and run it with the flags that follow its name, in
this environment, until it ends. An interrupt ends it. Its exit code is that of
this command.`,
		Example: "  fairlead plugin run redis -- --help\n  fairlead plugin run redis -- --listen unix:///run/fairlead/redis.sock --url-file redis.url",
		Args:    cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			p, err := findPlugin(args[0])
			if err != nil {
				return err
			}
			if err := p.Verify(); err != nil {
				return &failed{err}
			}
			return runBinary(cmd, p.Path, afterDashes(args[1:]))
		},
	}
	cmd.Flags().SetInterspersed(false) // what follows the name is the plugin's
	return cmd
}

func afterDashes(args []string) []string {
	if len(args) > 0 && args[0] == "--" {
		return args[1:]
	}
	return args
}

// runBinary runs a program with the command's input and output.
func runBinary(cmd *cobra.Command, path string, args []string) error {
	c := exec.CommandContext(cmd.Context(), path, args...)
	c.Stdin, c.Stdout, c.Stderr = cmd.InOrStdin(), cmd.OutOrStdout(), cmd.ErrOrStderr()
	c.Cancel = func() error { return c.Process.Signal(syscall.SIGTERM) }
	c.WaitDelay = drainTimeout
	err := c.Run()
	var exit *exec.ExitError
	switch {
	case c.ProcessState != nil && c.ProcessState.Success():
		return nil // also if it was interrupted, and ended as it was told to
	case errors.As(err, &exit) && exit.Exited():
		return &exited{fmt.Errorf("%s: %w", filepath.Base(path), err), exit.ExitCode()}
	default:
		return &failed{err}
	}
}
