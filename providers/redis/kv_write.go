package redis

import (
	"context"

	"fairlead.dev"
	"fairlead.dev/kv/driver"
)

// What the script kv_write.lua answers for an operation, besides a revision.
const (
	deleted  = int64(0)
	conflict = int64(1)
)

// writeCall is the call that carries out some operations of a batch.
type writeCall struct {
	call
	b     *batch
	ops   []int // of b.ops
	bytes int
}

func (w *writeCall) prepare(ctx context.Context) {
	slots := make([]string, 0, len(w.ops))
	args := make([]any, 0, 4*len(w.ops))
	for _, i := range w.ops {
		op := &w.b.ops[i]
		slots = append(slots, w.b.s.slot(op.Key))
		args = append(args, int(op.Kind), op.Value, string(op.Revision), milliseconds(op.TTL))
	}
	w.call = w.b.s.newCall(ctx, kvWrite, slots, args)
}

// settle fills in the results of the call, whose do returned err.
func (w *writeCall) settle(ctx context.Context, err error) {
	a, err := w.finish(ctx, err)
	values, _ := a.value.([]any)
	if err == nil && !a.lost && len(values) != len(w.ops) {
		err = unexpected(a.value)
	}
	for n, i := range w.ops {
		r := &w.b.results[i]
		switch {
		case err != nil:
			r.Err = err
		case a.lost:
			*r = w.b.recovered(w.b.ops[i].Kind, a.found[n])
		default:
			*r = w.b.written(values[n])
		}
	}
}

// written is the result of an operation, by the script's answer.
func (b *batch) written(v any) (r driver.Result) {
	switch v := v.(type) {
	case string:
		b.s.reached(v)
		r.Revision = driver.Revision(v)
	case error:
		r.Err = mapErr(v, true)
	case int64:
		if v == conflict {
			r.Err = fairlead.Errorf(fairlead.Conflict, "the condition of the write did not hold")
		}
	default:
		r.Err = unexpected(v)
	}
	return r
}

// recovered is the result of an operation of a call that was carried out and
// whose answer was lost. An operation that is not in the log changed nothing.
func (b *batch) recovered(kind driver.OpKind, revision string) (r driver.Result) {
	switch {
	case revision != "" && (kind == driver.OpDelete || kind == driver.OpDeleteIf):
	case revision != "":
		r.Revision = driver.Revision(revision)
	case kind == driver.OpDelete: // of a key that did not exist
	default:
		r.Err = fairlead.Errorf(fairlead.Unavailable, "the write was refused; the reason was lost with the connection")
	}
	return r
}
