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

// drainTimeout is how long a plugin may take to end after an interrupt.
const drainTimeout = 30 * time.Second

func newPluginRun() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "run NAME [-- FLAGS]",
		Short: "Run an installed plugin as a sidecar, or print its flags",
		Long: `Verify an installed plugin, and run it in this environment with the flags after its
name, until it ends. An interrupt ends it. The command exits with the plugin's exit
code.`,
		Example: "  fairlead plugin run redis -- --help\n  fairlead plugin run redis -- --listen unix:///run/fairlead/redis.sock --url-file redis.url",
		Args:    requireArguments(1, -1, "the name of a plugin and the flags for it"),
		RunE: func(cmd *cobra.Command, args []string) error {
			p, err := findPlugin(args[0])
			if err != nil {
				return err
			}
			if err := p.Verify(); err != nil {
				return &operationError{err}
			}
			return runBinary(cmd, p.Path, argumentsAfterDashes(args[1:]))
		},
	}
	cmd.Flags().SetInterspersed(false) // flags after the name are the plugin's
	return cmd
}

func argumentsAfterDashes(args []string) []string {
	if len(args) > 0 && args[0] == "--" {
		return args[1:]
	}
	return args
}

// runBinary runs a program with the command's standard input and output.
func runBinary(cmd *cobra.Command, path string, args []string) error {
	c := exec.CommandContext(cmd.Context(), path, args...)
	c.Stdin, c.Stdout, c.Stderr = cmd.InOrStdin(), cmd.OutOrStdout(), cmd.ErrOrStderr()
	c.Cancel = func() error { return c.Process.Signal(syscall.SIGTERM) }
	c.WaitDelay = drainTimeout
	err := c.Run()
	var exit *exec.ExitError
	switch {
	case c.ProcessState != nil && c.ProcessState.Success():
		return nil // also after an interrupt that it obeyed
	case errors.As(err, &exit) && exit.Exited():
		return &exitError{fmt.Errorf("%s: %w", filepath.Base(path), err), exit.ExitCode()}
	default:
		return &operationError{err}
	}
}
