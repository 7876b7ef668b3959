package main

import (
	"context"
	"fmt"
	"os/exec"
	"strings"
	"time"
)

// shellControl kills and starts the backend with commands of the operator.
type shellControl struct{ kill, start string }

// commandTimeout bounds each of the operator's commands.
const commandTimeout = time.Minute

func (c shellControl) Kill(ctx context.Context) error  { return runShell(ctx, c.kill) }
func (c shellControl) Start(ctx context.Context) error { return runShell(ctx, c.start) }

// shellFiller fills the backend, and gives it space, with commands of the operator.
type shellFiller struct{ fill, free string }

func (f shellFiller) Fill(ctx context.Context) error { return runShell(ctx, f.fill) }
func (f shellFiller) Free(ctx context.Context) error { return runShell(ctx, f.free) }

func runShell(ctx context.Context, command string) error {
	ctx, cancel := context.WithTimeout(ctx, commandTimeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, "sh", "-c", command)
	cmd.WaitDelay = time.Second // a server that the command started may keep its output open
	out, err := cmd.CombinedOutput()
	if err != nil && err != exec.ErrWaitDelay {
		return fmt.Errorf("a command of --kill-command or --start-command failed: %w: %s", err, strings.TrimSpace(string(out)))
	}
	return nil
}
