// Command fairlead runs the conformance suite against a backend and says what
// the backend guarantees.
//
//	fairlead conformance mem://
//	fairlead conformance redis://127.0.0.1:6379 --facet kv --junit report.xml
//	fairlead conformance clean redis://127.0.0.1:6379
//	fairlead describe redis://127.0.0.1:6379
//	fairlead config get redis://127.0.0.1:6379 --name shop
//	fairlead plugin list
//	fairlead new provider acme
//
// Exit codes: 0 if all went well; 1 if a case failed, the backend cannot be
// reached or the run was interrupted; 2 for wrong usage, a wrong URL included;
// that of the plugin for "plugin run".
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"fairlead.dev"
	_ "fairlead.dev/plugins/auto"
	_ "fairlead.dev/providers/dapr"
	_ "fairlead.dev/providers/etcd"
	_ "fairlead.dev/providers/gocloud"
	_ "fairlead.dev/providers/memory"
	_ "fairlead.dev/providers/nats"
	_ "fairlead.dev/providers/redis"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop)           // a second Ctrl-C ends the process at once
	slog.SetLogLoggerLevel(slog.LevelWarn) // that plugins come and go is no news here
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

// The exit codes.
const (
	exitOK      = 0
	exitFailure = 1
	exitUsage   = 2
)

func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	root := newRoot()
	root.SetArgs(args)
	root.SetOut(stdout)
	root.SetErr(stderr)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return exitOK
	}
	fmt.Fprintln(stderr, "fairlead:", err)
	var ended *exited
	if errors.As(err, &ended) {
		return ended.code
	}
	var failure *failed
	if errors.As(err, &failure) {
		return exitFailure
	}
	return exitUsage
}

// failed is an error that is not one of usage: cobra's own errors all are.
type failed struct{ error }

func (f *failed) Unwrap() error { return f.error }

// exited is the end of a program that was run for the user, whose exit code is
// the command's own.
type exited struct {
	error
	code int
}

// fail classifies an error of the work itself.
func fail(err error) error {
	if err == nil || fairlead.CodeOf(err) == fairlead.Invalid {
		return err
	}
	return &failed{err}
}

func newRoot() *cobra.Command {
	root := &cobra.Command{
		Use:           "fairlead",
		Short:         "Ask a backend what it guarantees, and prove it",
		SilenceErrors: true, // run prints them
		SilenceUsage:  true,
	}
	root.AddCommand(newConformance(), newDescribe(), newNew(), newPlugin(), newConfig())
	return root
}

// urlArgument is the one argument of a command that works on a backend.
func urlArgument(cmd *cobra.Command, args []string) error {
	if len(args) == 1 {
		return nil
	}
	return fmt.Errorf("%q takes one URL, got %d arguments; for example: %s mem://", cmd.CommandPath(), len(args), cmd.CommandPath())
}

// oneArgument is for a command that takes one argument: what it is, and an
// example of it.
func oneArgument(what, example string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) == 1 {
			return nil
		}
		return fmt.Errorf("%q takes one argument, %s, got %d; for example: %s %s", cmd.CommandPath(), what, len(args), cmd.CommandPath(), example)
	}
}

// subcommand is for a command that does nothing by itself.
func subcommand(cmd *cobra.Command, args []string) error {
	var names []string
	for _, c := range cmd.Commands() {
		names = append(names, c.Name())
	}
	return fmt.Errorf("%q takes a command: one of %s", cmd.CommandPath(), strings.Join(names, ", "))
}
