package redis

import (
	"context"
	"errors"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"fairlead.dev"
	"fairlead.dev/kv/driver"
)

// callBytes bounds the values that one call of a script carries: Redis breaks
// connections on which a command of a gigabyte waits.
const callBytes = 8 << 20

// batch is a Do under way: the reads as one command, the writes as few calls
// of a script, all in one pipeline. Redis then writes and flushes its file
// once for all.
type batch struct {
	s       *store
	ops     []driver.Op
	results []driver.Result

	gets   []int // of ops
	getCmd goredis.Cmder
	writes []*writeCall
}

// Do implements the kv driver's Store.
func (s *store) Do(ctx context.Context, ops []driver.Op) []driver.Result {
	b := &batch{s: s, ops: ops, results: make([]driver.Result, len(ops))}
	if err := s.closed(); err != nil {
		b.failAll(err)
		return b.results
	}
	b.prepare(ctx)
	cmds := b.cmds()
	if len(cmds) == 0 {
		return b.results
	}
	err := s.p.do(ctx, s.log, cmds...)
	b.takeGets(ctx, err)
	for _, w := range b.writes {
		w.settle(ctx, err)
	}
	return b.results
}

func (b *batch) failAll(err error) {
	for i := range b.results {
		b.results[i].Err = err
	}
}

func (b *batch) prepare(ctx context.Context) {
	var now time.Time
	for i := range b.ops {
		op := &b.ops[i]
		if !op.Deadline.IsZero() {
			if now.IsZero() {
				now = time.Now()
			}
			if now.After(op.Deadline) {
				b.results[i].Err = unsent(op.Deadline, now)
				continue
			}
		}
		if op.Kind == driver.OpGet {
			b.gets = append(b.gets, i)
		} else {
			b.addWrite(i)
		}
	}
	b.getCmd = b.get(ctx)
	for _, w := range b.writes {
		w.prepare(ctx)
	}
}

// addWrite adds an operation to the last call that has room.
func (b *batch) addWrite(i int) {
	if n := len(b.writes); n == 0 || b.writes[n-1].bytes+len(b.ops[i].Value) > callBytes {
		b.writes = append(b.writes, &writeCall{b: b})
	}
	w := b.writes[len(b.writes)-1]
	w.ops = append(w.ops, i)
	w.bytes += len(b.ops[i].Value)
}

func (b *batch) get(ctx context.Context) goredis.Cmder {
	switch len(b.gets) {
	case 0:
		return nil
	case 1:
		return goredis.NewStringCmd(ctx, "get", b.s.slot(b.ops[b.gets[0]].Key))
	}
	args := make([]any, 1, 1+len(b.gets))
	args[0] = "mget"
	for _, i := range b.gets {
		args = append(args, b.s.slot(b.ops[i].Key))
	}
	return goredis.NewSliceCmd(ctx, args...)
}

func (b *batch) cmds() []goredis.Cmder {
	cmds := make([]goredis.Cmder, 0, 1+len(b.writes))
	if b.getCmd != nil {
		cmds = append(cmds, b.getCmd)
	}
	for _, w := range b.writes {
		cmds = append(cmds, w.cmd)
	}
	return cmds
}

// takeGets fills in the results of the reads. err is that of the whole call.
func (b *batch) takeGets(ctx context.Context, err error) {
	if b.getCmd == nil {
		return
	}
	if err == nil {
		err = b.getCmd.Err()
	}
	if err != nil && !errors.Is(err, goredis.Nil) {
		err = mapCallErr(ctx, err, false)
		for _, i := range b.gets {
			b.results[i].Err = err
		}
		return
	}
	switch cmd := b.getCmd.(type) {
	case *goredis.StringCmd:
		b.results[b.gets[0]] = getResult(cmd.Val(), err == nil)
	case *goredis.SliceCmd:
		for n, v := range cmd.Val() {
			text, ok := v.(string)
			b.results[b.gets[n]] = getResult(text, ok)
		}
	}
}

func getResult(s string, exists bool) (r driver.Result) {
	if !exists {
		r.Err = fairlead.Errorf(fairlead.NotFound, "the key does not exist")
		return r
	}
	r.Value, r.Revision, r.Err = kept(s)
	return r
}
