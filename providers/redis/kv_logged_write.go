package redis

import (
	"context"
	"strconv"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"fairlead.dev"
	"fairlead.dev/providers"
)

const (
	// searchTime bounds the search for a write whose reply was lost.
	searchTime  = 2 * time.Second
	searchPause = 50 * time.Millisecond
	// The search reads at most this much of the log.
	searchEntries = 2000
	searchBytes   = 8 << 20
	// fenceTime is how long a write that was found not to have been applied is
	// prevented from being applied.
	fenceTime = 24 * time.Hour
)

// loggedWrite is a call of a script that writes to a store and its log. It is
// applied as a whole or not at all.
type loggedWrite struct {
	s      *store
	mark   *mark
	since  string // a revision from before the write
	script *script
	keys   []string
	args   []any
	cmd    *goredis.Cmd
}

// newLoggedWrite adds what all scripts that write get to keys and args.
func (s *store) newLoggedWrite(ctx context.Context, sc *script, valueKeys []string, args []any) loggedWrite {
	w := loggedWrite{s: s, script: sc, mark: s.p.newMark(), since: *s.knownRevision.Load()}
	w.keys = append(append(make([]string, 0, 4+len(valueKeys)), s.keys.log, s.keys.index, s.keys.deadlines, s.keys.fence), valueKeys...)
	w.args = append(append(make([]any, 0, 3+len(args)), s.p.config.history, w.mark, len(s.keys.valuePrefix)+1), args...)
	w.cmd = sc.command(ctx, w.keys, w.args...)
	return w
}

// writeReply is the reply of a script that was applied.
type writeReply struct {
	value any
	// lost says that the value was lost with the connection. revisions then has
	// the revisions of the operations that changed something, by their numbers.
	lost      bool
	revisions map[int]string
}

// resolveReply returns the reply of the write, for which execute returned err.
// If the store was gone, it creates the store and sends the write again. If the
// reply was lost, it searches the log for the write.
func (w *loggedWrite) resolveReply(ctx context.Context, err error) (writeReply, error) {
	err = commandError(ctx, w.mark, w.cmd, err)
	if err != nil && goredis.HasErrorPrefix(err, "NOSTORE") {
		err = w.repeatInNewStore(ctx)
	}
	switch {
	case err == nil:
		return writeReply{value: w.cmd.Val()}, nil
	case fairlead.CodeOf(err) == fairlead.UnknownOutcome && !isErrorReply(err):
		return w.searchLog(ctx, err)
	default:
		return writeReply{}, err
	}
}

// repeatInNewStore creates the store again, which was deleted or lost, and
// sends the write again. The first attempt has changed nothing.
func (w *loggedWrite) repeatInNewStore(ctx context.Context) error {
	if err := w.s.createIfMissing(ctx); err != nil {
		return unappliedError(err)
	}
	w.cmd = w.script.command(ctx, w.keys, w.args...)
	_, err := w.s.p.write(ctx, w.mark, w.s.keys.log, w.cmd)
	return err
}

// unappliedError is for a failure between two attempts of a write, the first of
// which is known to have changed nothing.
func unappliedError(err error) error {
	if fairlead.CodeOf(err) != fairlead.UnknownOutcome {
		return err
	}
	return fairlead.Errorf(fairlead.Unavailable, "the write was not applied: %w", err)
}

// searchLog searches the store's log for the write. It returns the given error,
// an unknown outcome, if the time or the log does not suffice for certainty.
//
// Every entry of the log carries the name of the write that added it. A write
// that is not there may still be on its way to the server. So the search fences
// it off in the same step, which keeps it from being applied. Only then is it
// certain that the write was not applied and never will be.
func (w *loggedWrite) searchLog(ctx context.Context, unknown error) (writeReply, error) {
	ctx, cancel := context.WithTimeout(ctx, searchTime)
	defer cancel()
	for ctx.Err() == nil {
		reply, err := w.s.p.query(ctx, w.s.keys.log, kvResolve.command(ctx, []string{w.s.keys.log, w.s.keys.fence},
			w.mark.text, w.since, searchEntries, searchBytes, fenceTime.Milliseconds()))
		pairs := asList(reply)
		switch {
		case err == nil && len(pairs) == 0:
			return writeReply{}, fairlead.Errorf(fairlead.Unavailable, "the connection broke; the write was not applied, and will not be: %w", unknown)
		case err == nil:
			return lostReply(pairs), nil
		case err == goredis.Nil, fairlead.CodeOf(err) != fairlead.Unavailable:
			return writeReply{}, unknown
		}
		providers.Pause(ctx, searchPause)
	}
	return writeReply{}, unknown
}

// lostReply takes the numbers of operations, counted from 1, and their
// revisions in turn.
func lostReply(pairs []any) writeReply {
	r := writeReply{lost: true, revisions: map[int]string{}}
	for i := 0; i+1 < len(pairs); i += 2 {
		n, _ := strconv.Atoi(asText(pairs[i]))
		r.revisions[n-1] = asText(pairs[i+1])
	}
	return r
}
