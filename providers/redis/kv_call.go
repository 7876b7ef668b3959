package redis

import (
	"context"
	"strconv"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"fairlead.dev"
	"fairlead.dev/internal/await"
)

const (
	// resolveTime bounds the search for what became of a call.
	resolveTime  = 2 * time.Second
	resolvePause = 50 * time.Millisecond
	// The search looks through this much of the log at most.
	resolveEntries = 2000
	resolveBytes   = 8 << 20
	// fenceTime is how long a call that was found not to have been carried
	// out is kept from being so.
	fenceTime = 24 * time.Hour
)

// call is a call of a script that writes: it is carried out as a whole or not
// at all.
type call struct {
	s     *store
	mark  *mark
	since string // a revision from before the call
	keys  []string
	args  []any
	cmd   *goredis.Cmd
	run   *script
}

// newCall takes what the script gets beyond what all scripts that write get.
func (s *store) newCall(ctx context.Context, run *script, slots []string, args []any) call {
	c := call{s: s, run: run, mark: s.p.newMark(), since: *s.seen.Load()}
	c.keys = append(append(make([]string, 0, 4+len(slots)), s.log, s.index, s.deadlines, s.fence), slots...)
	c.args = append(append(make([]any, 0, 3+len(args)), s.p.config.history, c.mark, len(s.slots)+1), args...)
	c.cmd = run.call(ctx, c.keys, c.args...)
	return c
}

// answer is what became of a call.
type answer struct {
	value any // of the script
	// lost: value is not known, but the call was carried out, and these are
	// the revisions of the operations that changed something, by number.
	lost  bool
	found map[int]string
}

// finish returns what became of the call, whose do returned err. If the store
// was gone, it is created and the call sent again; if the answer was lost, it
// is looked for.
func (c *call) finish(ctx context.Context, err error) (answer, error) {
	err = c.outcome(ctx, err)
	if goredis.HasErrorPrefix(err, "NOSTORE") {
		if err := c.s.create(ctx); err != nil {
			return answer{}, unapplied(err)
		}
		c.cmd = c.run.call(ctx, c.keys, c.args...)
		err = c.outcome(ctx, c.s.p.do(ctx, c.s.log, c.cmd))
	}
	switch {
	case err == nil:
		return answer{value: c.cmd.Val()}, nil
	case fairlead.CodeOf(err) == fairlead.UnknownOutcome && !isAnswer(err):
		return c.resolve(ctx, err)
	default:
		return answer{}, err
	}
}

// unapplied is for a failure between two attempts of a write, the first of
// which is known to have changed nothing.
func unapplied(err error) error {
	if fairlead.CodeOf(err) != fairlead.UnknownOutcome {
		return err
	}
	return fairlead.Errorf(fairlead.Unavailable, "the write was not applied: %w", err)
}

// outcome returns the error of the call, whose do returned err.
func (c *call) outcome(ctx context.Context, err error) error {
	if err == nil {
		return mapCallErr(ctx, c.cmd.Err(), c.mark.sent())
	}
	return c.mark.outcome(err)
}

// resolve looks for the call in the store's log. It returns the given error,
// an unknown outcome, if there is no time or no certainty.
//
// Every entry of the log carries the name of the call that made it. A call
// that is not there may still be on its way to the server: so the search, in
// the same step, leaves a note that keeps it from being carried out. Only then
// is it certain that it was not, and never will be.
func (c *call) resolve(ctx context.Context, unknown error) (answer, error) {
	ctx, cancel := context.WithTimeout(ctx, resolveTime)
	defer cancel()
	for ctx.Err() == nil {
		cmd := kvResolve.call(ctx, []string{c.s.log, c.s.fence}, c.mark.name, c.since,
			resolveEntries, resolveBytes, fenceTime.Milliseconds())
		if err := c.s.p.do(ctx, c.s.log, cmd); err != nil {
			break
		}
		found, err := cmd.StringSlice()
		switch {
		case err == nil && len(found) == 0:
			return answer{}, fairlead.Errorf(fairlead.Unavailable, "the connection broke; the write was not applied, and will not be: %w", unknown)
		case err == nil:
			return foundAnswer(found), nil
		case isAnswer(err) && fairlead.CodeOf(mapErr(err, false)) != fairlead.Unavailable, err == goredis.Nil:
			return answer{}, unknown
		}
		await.Pause(ctx, resolvePause)
	}
	return answer{}, unknown
}

// foundAnswer takes numbers, counted from 1, and revisions in turn.
func foundAnswer(pairs []string) answer {
	a := answer{lost: true, found: map[int]string{}}
	for i := 0; i+1 < len(pairs); i += 2 {
		n, _ := strconv.Atoi(pairs[i])
		a.found[n-1] = pairs[i+1]
	}
	return a
}
