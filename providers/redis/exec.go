package redis

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"fairlead.dev"
	"fairlead.dev/internal/await"
)

const (
	// redirections bounds how often a command is sent anew because it reached
	// a server that does not serve its hash slot.
	redirections    = 20
	redirectionWait = 50 * time.Millisecond
)

// mark is an argument of a write. It names the call, and notices when the
// client begins to put the command on a connection: while it has not, the
// write cannot have reached the server.
type mark struct {
	name  string
	state atomic.Int32
}

const (
	markUnsent int32 = iota
	markSent
	markRevoked
)

var errRevoked = errors.New("the call was given up before it was sent")

// MarshalBinary is called by go-redis when it writes the argument. An error
// keeps the command from being completed.
func (m *mark) MarshalBinary() ([]byte, error) {
	if m.state.CompareAndSwap(markUnsent, markSent) || m.sent() {
		return []byte(m.name), nil
	}
	return nil, errRevoked
}

// sent reports whether the write may have reached the server.
func (m *mark) sent() bool { return m.state.Load() == markSent }

// revoke makes sure that the write does not reach the server any more, and is
// false if it may have. For calls that were left behind.
func (m *mark) revoke() bool {
	return m.state.CompareAndSwap(markUnsent, markRevoked) || m.state.Load() == markRevoked
}

// outcome is the error of a call that was left behind with err. The mark may be
// nil: of a call that writes nothing.
func (m *mark) outcome(err error) error {
	if err == nil || m == nil || m.revoke() {
		return err
	}
	return fairlead.Errorf(fairlead.UnknownOutcome, "the call ended before the server answered the write: %w", err)
}

// newMark returns a mark with a name that no other call of any process has.
func (p *provider) newMark() *mark {
	var b [16]byte
	return &mark{name: string(appendName(b[:0], p.markPrefix, p.marks.Add(1)))}
}

// blockedLonger is how much longer than another call one may last that blocks
// on the server.
const blockedLonger = 10 * time.Second

// do sends cmds in one pipeline to the primary that serves key, and returns
// when all are answered or ctx has ended. All cmds must be of key's hash slot.
//
// A nil error means that each cmd has its own answer or error, as mapCallErr
// takes it. With an error, no cmd was looked at.
func (p *provider) do(ctx context.Context, key string, cmds ...goredis.Cmder) error {
	return p.perform(ctx, p.config.readTimeout, p.client, key, cmds, redirections)
}

// once is do for commands that belong together: none is sent again, so that an
// answer of the server is the last word, also NOSCRIPT and MOVED.
func (p *provider) once(ctx context.Context, key string, cmds ...goredis.Cmder) error {
	return p.perform(ctx, p.config.readTimeout, p.client, key, cmds, 0)
}

// wait is do for commands that block on the server. They have connections of
// their own, so that the rest never waits for them.
func (p *provider) wait(ctx context.Context, key string, cmds ...goredis.Cmder) error {
	return p.perform(ctx, p.config.readTimeout+blockedLonger, p.waiters, key, cmds, redirections)
}

func (p *provider) perform(ctx context.Context, limit time.Duration, c goredis.UniversalClient, key string, cmds []goredis.Cmder, retries int) error {
	if err := ctx.Err(); err != nil {
		return mapErr(err, false)
	}
	f := takeOff(ctx, limit)
	defer f.land()
	err := process(f, c, key, cmds, retries)
	if p.life.Err() != nil {
		return cutOff(err, cmds)
	}
	return err
}

// cutOff is for commands under way while the provider was closed. What their
// connections say of that is told as what it is.
func cutOff(err error, cmds []goredis.Cmder) error {
	for _, cmd := range cmds {
		if e := cmd.Err(); e != nil && e != goredis.Nil && !isAnswer(e) {
			cmd.SetErr(goredis.ErrClosed)
		}
	}
	if fairlead.CodeOf(err) == fairlead.Unavailable {
		return mapErr(goredis.ErrClosed, false)
	}
	return err
}

// within runs f, and leaves it behind if ctx ends first: for calls of go-redis
// that do more than send a command, and that need not be fast. What was left
// behind ends by the timeouts of the connection.
func within(ctx context.Context, f func() error) error {
	done := make(chan error, 1)
	go func() { done <- f() }()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return mapErr(ctx.Err(), false)
	}
}

// process sends cmds until none of them was turned away for a reason that
// sending it again mends: a script that has to be loaded, a hash slot that was
// moved. Nothing has happened to those.
func process(ctx context.Context, c goredis.UniversalClient, key string, cmds []goredis.Cmder, retries int) error {
	todo := cmds
	for attempt := 0; ; attempt++ {
		node, err := primary(ctx, c, key)
		if err != nil {
			return mapCallErr(ctx, err, false)
		}
		send(ctx, node, todo)
		again, moved := rejected(todo)
		if len(again) == 0 || attempt == retries {
			return nil
		}
		if moved && !follow(ctx, c) {
			return nil
		}
		todo = again
	}
}

// send leaves the outcome in the cmds.
func send(ctx context.Context, node *goredis.Client, cmds []goredis.Cmder) {
	if len(cmds) == 1 {
		_ = node.Process(ctx, cmds[0]) // the cmd keeps it
		return
	}
	pipe := node.Pipeline()
	_ = pipe.BatchProcess(ctx, cmds...) // only queues
	_, _ = pipe.Exec(ctx)               // each cmd keeps its own
}

// rejected returns the commands that are to be sent again.
func rejected(cmds []goredis.Cmder) (again []goredis.Cmder, moved bool) {
	for _, c := range cmds {
		if c.Err() == nil {
			continue
		}
		if s, ok := unloaded(c); ok {
			args := c.Args()
			args[0], args[1] = "eval", s.src
			again = append(again, c)
		} else if _, ok := goredis.IsMovedError(c.Err()); ok {
			again, moved = append(again, c), true
		}
	}
	return again, moved
}

// follow learns the new place of the hash slots, and is false if there is no
// sense in waiting for it.
func follow(ctx context.Context, c goredis.UniversalClient) bool {
	cc, ok := c.(*goredis.ClusterClient)
	if !ok {
		return false
	}
	cc.ReloadState(ctx)
	return await.Pause(ctx, redirectionWait)
}

// unsent is the error of an operation whose own deadline has passed.
func unsent(deadline, now time.Time) error {
	return fairlead.Errorf(fairlead.DeadlineExceeded, "the deadline passed %v before the operation was sent", now.Sub(deadline))
}
