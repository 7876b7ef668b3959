package redis

import (
	"context"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"fairlead.dev"
	"fairlead.dev/providers"
)

const (
	// maxRedirects bounds how often a command is sent again because it reached
	// a server that does not serve its hash slot.
	maxRedirects  = 20
	redirectPause = 50 * time.Millisecond
	// blockingExtraTime is added to the longest duration of a call that blocks
	// on the server.
	blockingExtraTime = 10 * time.Second
)

// route says which client sends a command, how long the call lasts at most and
// how often the command is sent again after a redirection.
type route struct {
	client    goredis.UniversalClient
	timeout   time.Duration
	redirects int
}

// defaultRoute is for commands that the server answers at once.
func (p *provider) defaultRoute() route {
	return route{p.client, p.config.readTimeout, maxRedirects}
}

// onceRoute is for commands that belong together: none is sent again, and every
// reply is final, including NOSCRIPT and MOVED.
func (p *provider) onceRoute() route {
	return route{p.client, p.config.readTimeout, 0}
}

// blockingRoute is for commands that block on the server. They have their own
// connections, so that other commands never wait for them.
func (p *provider) blockingRoute() route {
	return route{p.waiters, p.config.readTimeout + blockingExtraTime, maxRedirects}
}

// query sends a command that may be repeated without harm, and returns its
// reply. A null reply is the error goredis.Nil.
func (p *provider) query(ctx context.Context, key string, cmd *goredis.Cmd) (any, error) {
	err := p.execute(ctx, p.defaultRoute(), key, cmd)
	return cmd.Val(), commandError(ctx, nil, cmd, err)
}

// write sends a command that has m among its arguments, and returns its reply.
// A null reply is the error goredis.Nil.
func (p *provider) write(ctx context.Context, m *mark, key string, cmd *goredis.Cmd) (any, error) {
	err := p.execute(ctx, p.defaultRoute(), key, cmd)
	return cmd.Val(), commandError(ctx, m, cmd, err)
}

// block waits until one of the streams has an entry after the ID given for it,
// or for d. It takes the keys of the streams, then their IDs.
func (p *provider) block(ctx context.Context, d time.Duration, streams ...string) error {
	args := append(make([]any, 0, 6+len(streams)), "xread", "block", max(1, milliseconds(d)), "count", 1, "streams")
	for _, s := range streams {
		args = append(args, s)
	}
	cmd := goredis.NewCmd(ctx, args...)
	err := p.execute(ctx, p.blockingRoute(), streams[0], cmd)
	if err := commandError(ctx, nil, cmd, err); err != goredis.Nil {
		return err
	}
	return nil
}

// pipeline sends queries and writes together. A nil error means that
// commandError has the result of each command.
func (p *provider) pipeline(ctx context.Context, key string, cmds ...goredis.Cmder) error {
	return p.execute(ctx, p.defaultRoute(), key, cmds...)
}

// commandError returns the error of a command for which execute returned err.
// m is nil for a query.
func commandError(ctx context.Context, m *mark, cmd goredis.Cmder, err error) error {
	switch {
	case err != nil:
		return m.abandonedError(err)
	case cmd.Err() == goredis.Nil:
		return goredis.Nil
	default:
		return mapCallErr(ctx, cmd.Err(), m.sent())
	}
}

// execute sends the commands in one pipeline to the primary that serves key. It
// returns when all have a reply, or when ctx or the time of the route has
// ended. All commands must be of key's hash slot.
//
// After a nil error, each command has its own reply or error. After another
// error, no command has either.
func (p *provider) execute(ctx context.Context, r route, key string, cmds ...goredis.Cmder) error {
	if err := fairlead.ContextError(ctx); err != nil {
		return err
	}
	c := beginCall(ctx, r.timeout)
	defer c.end()
	err := r.sendUntilServed(c, key, cmds)
	p.explainDenials(c, r, key, cmds)
	if p.life.Err() != nil {
		return markClosed(err, cmds)
	}
	return err
}

// markClosed replaces the errors of commands that were running while the
// provider was closed: their connections report the end in many ways.
func markClosed(err error, cmds []goredis.Cmder) error {
	for _, cmd := range cmds {
		if e := cmd.Err(); e != nil && e != goredis.Nil && !isErrorReply(e) {
			cmd.SetErr(goredis.ErrClosed)
		}
	}
	if fairlead.CodeOf(err) == fairlead.Unavailable {
		return mapErr(goredis.ErrClosed, false)
	}
	return err
}

// sendUntilServed sends the commands. It sends a command again if the server
// rejected it without executing it, because the server does not know a script yet
// or because the command's hash slot was moved.
func (r route) sendUntilServed(ctx context.Context, key string, cmds []goredis.Cmder) error {
	pending := cmds
	for attempt := 0; ; attempt++ {
		node, err := primaryOf(ctx, r.client, key)
		if err != nil {
			return mapCallErr(ctx, err, false)
		}
		sendOnce(ctx, node, pending)
		rejected, moved := rejectedCommands(pending)
		if len(rejected) == 0 || attempt == r.redirects || moved && !r.reloadSlots(ctx) {
			return nil
		}
		pending = rejected
	}
}

// sendOnce sends the commands to one server. Each command keeps its reply or
// error.
func sendOnce(ctx context.Context, node *goredis.Client, cmds []goredis.Cmder) {
	if len(cmds) == 1 {
		_ = node.Process(ctx, cmds[0]) // the command keeps the error
		return
	}
	pipe := node.Pipeline()
	_ = pipe.BatchProcess(ctx, cmds...) // only queues
	_, _ = pipe.Exec(ctx)               // each command keeps its own error
}

// rejectedCommands returns the commands that must be sent again. It gives those
// whose script the server does not know the text of the script.
func rejectedCommands(cmds []goredis.Cmder) (rejected []goredis.Cmder, moved bool) {
	for _, c := range cmds {
		if c.Err() == nil {
			continue
		}
		if s, ok := unknownScript(c); ok {
			args := c.Args()
			args[0], args[1] = "eval", s.src
			rejected = append(rejected, c)
		} else if _, ok := goredis.IsMovedError(c.Err()); ok {
			rejected, moved = append(rejected, c), true
		}
	}
	return rejected, moved
}

// reloadSlots has a cluster's client ask which server has which hash slots. It
// is false if the commands should not be sent again.
func (r route) reloadSlots(ctx context.Context) bool {
	c, ok := r.client.(*goredis.ClusterClient)
	if !ok {
		return false
	}
	c.ReloadState(ctx)
	return providers.Pause(ctx, redirectPause)
}

// runUnlessEnded runs f, and returns early if ctx ends first: for calls of
// go-redis that do more than send one command. An abandoned f ends by the
// timeouts of its connection.
func runUnlessEnded(ctx context.Context, f func() error) error {
	done := make(chan error, 1)
	go func() { done <- f() }()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return fairlead.ContextError(ctx)
	}
}
