package main

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"time"
)

// commandTimeout bounds each of the operator's commands.
const commandTimeout = time.Minute

// shellCommand is a command of the operator, with the flag that gave it.
type shellCommand struct{ flag, command string }

// run runs the command. Each of vars is NAME=VALUE, for its environment.
func (c shellCommand) run(ctx context.Context, vars ...string) error {
	ctx, cancel := context.WithTimeout(ctx, commandTimeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, "sh", "-c", c.command)
	cmd.Env = append(os.Environ(), vars...)
	cmd.WaitDelay = time.Second // a server that the command started may keep its output open
	out, err := cmd.CombinedOutput()
	if err != nil && err != exec.ErrWaitDelay {
		said := cmp.Or(strings.TrimSpace(string(out)), "it printed nothing")
		return fmt.Errorf("the command of --%s failed: %w: %s", c.flag, err, said)
	}
	return nil
}

// shellControl kills and starts the backend with commands of the operator.
type shellControl struct {
	kill  shellCommand // or the one that cuts the power
	start string
}

func (c shellControl) Kill(ctx context.Context) error { return c.kill.run(ctx) }

func (c shellControl) Start(ctx context.Context) error {
	return shellCommand{"start-command", c.start}.run(ctx)
}

// shellFiller fills the backend, and gives it space, with commands of the operator.
type shellFiller struct{ fill, free string }

func (f shellFiller) Fill(ctx context.Context) error {
	return shellCommand{"fill-command", f.fill}.run(ctx)
}

func (f shellFiller) Free(ctx context.Context) error {
	return shellCommand{"free-command", f.free}.run(ctx)
}

// shellOperator changes the backend, as other programs do, with commands of the
// operator. They find names in their environment.
type shellOperator struct{ purge, insert, replace string }

func (o shellOperator) PurgeTopic(ctx context.Context, topic string) error {
	return shellCommand{"purge-command", o.purge}.run(ctx, "TOPIC="+topic)
}

func (o shellOperator) InsertMessage(ctx context.Context, topic string) error {
	return shellCommand{"insert-command", o.insert}.run(ctx, "TOPIC="+topic)
}

func (o shellOperator) ReplaceValue(ctx context.Context, store, key string) error {
	return shellCommand{"replace-command", o.replace}.run(ctx, "STORE="+store, "KEY="+key)
}
