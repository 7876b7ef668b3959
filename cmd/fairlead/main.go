// Command fairlead describes what a backend guarantees, and runs the conformance
// suite against it. It also edits shared settings, manages plugins, and writes
// the module of a new provider.
//
//	fairlead conformance mem://
//	fairlead conformance redis://127.0.0.1:6379 --facet kv --junit report.xml
//	fairlead conformance clean redis://127.0.0.1:6379
//	fairlead conformance compare before.json after.json
//	fairlead describe redis://127.0.0.1:6379
//	fairlead doctor redis://127.0.0.1:6379
//	fairlead config get redis://127.0.0.1:6379 --name shop
//	fairlead plugin list
//	fairlead new provider acme
//
// Exit codes: 0 for success; 1 if a case failed, the backend cannot be reached, or the
// last of the compared reports is worse; 2 for wrong usage, including a wrong URL; 3 if
// a run of the suite decides nothing: no case failed, but the run was interrupted, the
// backend cannot be opened, a case could not run, or nothing ran. The command "plugin
// run" exits with the plugin's exit code.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"regexp"
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
	context.AfterFunc(ctx, stop)           // a second Ctrl-C ends the process immediately
	slog.SetLogLoggerLevel(slog.LevelWarn) // the start and end of plugins is not logged
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

// The exit codes.
const (
	exitOK        = 0
	exitFailure   = 1
	exitUsage     = 2
	exitUndecided = 3
)

func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	root := newRootCommand()
	root.SetArgs(args)
	root.SetOut(stdout)
	root.SetErr(stderr)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return exitOK
	}
	fmt.Fprintln(stderr, "fairlead:", err)
	var ended *exitError
	if errors.As(err, &ended) {
		return ended.code
	}
	var failure *operationError
	if errors.As(err, &failure) {
		return exitFailure
	}
	return exitUsage
}

// operationError is an error of the operation itself. Every other error, such as
// cobra's own, is an error of usage.
type operationError struct{ error }

func (f *operationError) Unwrap() error { return f.error }

// exitError is an error with an exit code of its own, for example of a program that
// was run for the user.
type exitError struct {
	error
	code int
}

// classifyError turns an error of the operation into an operationError. An
// Invalid error stays an error of usage.
func classifyError(err error) error {
	if err == nil || fairlead.CodeOf(err) == fairlead.Invalid {
		return err
	}
	return &operationError{err}
}

func newRootCommand() *cobra.Command {
	root := &cobra.Command{
		Use:           "fairlead",
		Short:         "Describe what a backend guarantees, and test it",
		Args:          requireKnownCommand,
		RunE:          func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
		SilenceErrors: true, // run prints them
		SilenceUsage:  true,
		Annotations:   commandGroup,
	}
	root.SetFlagErrorFunc(explainFlagError)
	root.SetUsageTemplate(strings.Replace(root.UsageTemplate(), "{{if .Runnable}}", `{{if and .Runnable (not (index .Annotations "group"))}}`, 1))
	root.AddCommand(newConformanceCommand(), newDescribeCommand(), newDoctorCommand(), newNewCommand(), newPluginCommand(), newConfigCommand())
	return root
}

// commandGroup marks a command that only has subcommands: its help shows no usage
// of its own.
var commandGroup = map[string]string{"group": "true"}

// explainFlagError says where the flags are listed. It removes the text of a group
// of short flags: it may be a password, as in -pPASSWORD.
func explainFlagError(cmd *cobra.Command, err error) error {
	problem, _, _ := strings.Cut(err.Error(), " in -")
	return fmt.Errorf("%s; \"%s --help\" lists the flags", problem, cmd.CommandPath())
}

// requireKnownCommand refuses an argument that is no command. It quotes only what
// may be a name: it may be a URL with a password.
func requireKnownCommand(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	what := "the first argument is no command"
	if regexp.MustCompile(`^[a-z]+(-[a-z]+)*$`).MatchString(args[0]) {
		what = fmt.Sprintf("unknown command %q", args[0])
	}
	if similar := cmd.SuggestionsFor(args[0]); len(similar) > 0 {
		what += fmt.Sprintf("; did you mean %q?", strings.Join(similar, ", "))
	}
	return fmt.Errorf("%s; %w", what, requireSubcommand(cmd, args))
}

// requireURL is for a command whose only argument is a URL.
func requireURL(cmd *cobra.Command, args []string) error {
	if len(args) == 1 {
		return nil
	}
	return fmt.Errorf("%q takes one URL, got %d arguments; for example: %s mem://", cmd.CommandPath(), len(args), cmd.CommandPath())
}

// requireOneArgument is for a command with one argument. what names the argument,
// and example is a value for the message.
func requireOneArgument(what, example string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) == 1 {
			return nil
		}
		return fmt.Errorf("%q takes one argument, %s, got %d; for example: %s %s", cmd.CommandPath(), what, len(args), cmd.CommandPath(), example)
	}
}

// requireArguments is for a command with least to most arguments; most is -1 for
// no bound. what names the arguments.
func requireArguments(least, most int, what string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) >= least && (len(args) <= most || most < 0) {
			return nil
		}
		return fmt.Errorf("%q takes %s, got %d arguments; for example: %s", cmd.CommandPath(), what, len(args), firstExample(cmd))
	}
}

// requireSubcommand is for a command that only has subcommands.
func requireSubcommand(cmd *cobra.Command, args []string) error {
	var names []string
	for _, c := range cmd.Commands() {
		if c.IsAvailableCommand() {
			names = append(names, c.Name())
		}
	}
	return fmt.Errorf("%q takes a command: one of %s", cmd.CommandPath(), strings.Join(names, ", "))
}
