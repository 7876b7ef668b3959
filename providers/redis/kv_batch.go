package redis

import (
	"context"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"fairlead.dev"
	"fairlead.dev/kv/driver"
)

// maxCallBytes bounds the values that one call of a script carries: Redis
// closes connections on which a command of a gigabyte is pending.
const maxCallBytes = 8 << 20

// batch is a running Do. The reads are one command and the writes are few
// script calls, all in one pipeline. Redis then writes and flushes its file
// once for all of them.
type batch struct {
	s       *store
	ops     []driver.Op
	results []driver.Result

	reads       []int // their numbers in ops
	readCommand goredis.Cmder
	writes      []*batchWrite
}

// Do implements the kv driver's Store.
func (s *store) Do(ctx context.Context, ops []driver.Op) []driver.Result {
	b := &batch{s: s, ops: ops, results: make([]driver.Result, len(ops))}
	if err := s.life.Err(); err != nil {
		b.failAll(err)
		return b.results
	}
	var buf [2]goredis.Cmder // one read and one write: most batches
	cmds := b.prepareCommands(ctx, buf[:0])
	if len(cmds) == 0 {
		return b.results
	}
	err := s.p.pipeline(ctx, s.keys.log, cmds...)
	b.collectReads(ctx, err)
	for _, w := range b.writes {
		w.collectResults(ctx, err)
	}
	return b.results
}

func (b *batch) failAll(err error) {
	for i := range b.results {
		b.results[i].Err = err
	}
}

// prepareCommands appends the commands of all operations whose deadlines have
// not passed.
func (b *batch) prepareCommands(ctx context.Context, cmds []goredis.Cmder) []goredis.Cmder {
	b.sortOperations()
	b.prepareRead(ctx)
	if b.readCommand != nil {
		cmds = append(cmds, b.readCommand)
	}
	for _, w := range b.writes {
		w.prepareCommand(ctx)
		cmds = append(cmds, w.cmd)
	}
	return cmds
}

// sortOperations tells reads, writes and operations whose deadlines have passed
// apart.
func (b *batch) sortOperations() {
	var now time.Time
	for i := range b.ops {
		op := &b.ops[i]
		if !op.Deadline.IsZero() && now.IsZero() {
			now = time.Now()
		}
		switch {
		case !op.Deadline.IsZero() && now.After(op.Deadline):
			b.results[i].Err = deadlinePassedError(op.Deadline, now)
		case op.TTL < 0:
			b.results[i].Err = negativeTTLError(op.TTL)
		case op.Kind == driver.OpGet:
			b.reads = append(b.reads, i)
		default:
			b.appendWrite(i)
		}
	}
}

// appendWrite adds an operation to the last script call that has room for it.
func (b *batch) appendWrite(i int) {
	if n := len(b.writes); n == 0 || b.writes[n-1].bytes+len(b.ops[i].Value) > maxCallBytes {
		b.writes = append(b.writes, &batchWrite{b: b})
	}
	w := b.writes[len(b.writes)-1]
	w.ops = append(w.ops, i)
	w.bytes += len(b.ops[i].Value)
}

func (b *batch) prepareRead(ctx context.Context) {
	switch len(b.reads) {
	case 0:
	case 1:
		b.readCommand = goredis.NewStringCmd(ctx, "get", b.s.keys.valueKey(b.ops[b.reads[0]].Key))
	default:
		args := append(make([]any, 0, 1+len(b.reads)), "mget")
		for _, i := range b.reads {
			args = append(args, b.s.keys.valueKey(b.ops[i].Key))
		}
		b.readCommand = goredis.NewSliceCmd(ctx, args...)
	}
}

// collectReads fills in the results of the reads. err is what execute returned.
func (b *batch) collectReads(ctx context.Context, err error) {
	if b.readCommand == nil {
		return
	}
	err = commandError(ctx, nil, b.readCommand, err)
	if err != nil && err != goredis.Nil {
		for _, i := range b.reads {
			b.results[i].Err = err
		}
		return
	}
	switch cmd := b.readCommand.(type) {
	case *goredis.StringCmd:
		b.results[b.reads[0]] = readResult(cmd.Val(), err == nil)
	case *goredis.SliceCmd:
		for n, v := range cmd.Val() {
			kept, ok := v.(string)
			b.results[b.reads[n]] = readResult(kept, ok)
		}
	}
}

func readResult(kept string, exists bool) (r driver.Result) {
	if !exists {
		r.Err = fairlead.Errorf(fairlead.NotFound, "the key does not exist")
		return r
	}
	r.Value, r.Revision, r.Err = parseKept(kept)
	return r
}
