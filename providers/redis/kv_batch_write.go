package redis

import (
	"context"
	"strings"

	"fairlead.dev"
	"fairlead.dev/kv/driver"
)

// The replies of the script kv_write.lua for an operation, besides a revision.
const (
	replyDeleted  = int64(0)
	replyConflict = int64(1)
	// refusalPrefix begins the server's error for an operation that it refused.
	refusalPrefix = "-"
)

// batchWrite is the script call that applies some operations of a batch.
type batchWrite struct {
	loggedWrite
	b     *batch
	ops   []int // their numbers in b.ops
	bytes int
}

func (w *batchWrite) prepareCommand(ctx context.Context) {
	valueKeys := make([]string, 0, len(w.ops))
	args := make([]any, 0, 4*len(w.ops))
	for _, i := range w.ops {
		op := &w.b.ops[i]
		valueKeys = append(valueKeys, w.b.s.keys.valueKey(op.Key))
		args = append(args, int(op.Kind), op.Value, string(op.Revision), milliseconds(op.TTL))
	}
	w.loggedWrite = w.b.s.newLoggedWrite(ctx, kvWrite, valueKeys, args)
}

// collectResults fills in the results of the operations. err is what execute
// returned.
func (w *batchWrite) collectResults(ctx context.Context, err error) {
	reply, err := w.resolveReply(ctx, err)
	values := asList(reply.value)
	if err == nil && !reply.lost && len(values) != len(w.ops) {
		err = unexpectedReply(reply.value)
	}
	for n, i := range w.ops {
		r := &w.b.results[i]
		switch {
		case err != nil:
			r.Err = err
		case reply.lost:
			*r = resultOfLostReply(w.b.ops[i].Kind, reply.revisions[n])
		default:
			*r = w.s.writeResult(values[n])
		}
	}
}

// writeResult returns the result of an operation from the script's reply.
func (s *store) writeResult(reply any) (r driver.Result) {
	switch v := reply.(type) {
	case string:
		if refusal, refused := strings.CutPrefix(v, refusalPrefix); refused {
			r.Err = mapErr(errorReply(refusal), false)
			return r
		}
		s.noteRevision(v)
		r.Revision = driver.Revision(v)
	case int64:
		if v == replyConflict {
			r.Err = conditionFailed()
		}
	case []any:
		r.Err = conditionFailed()
		r.Current = presentEntry(v)
	default:
		r.Err = unexpectedReply(v)
	}
	return r
}

func conditionFailed() error {
	return fairlead.Errorf(fairlead.Conflict, "the condition of the write did not hold")
}

// presentEntry returns the entry that the reply to a refused write tells. The
// reply holds what is stored under the key, and nothing if the key does not
// exist. presentEntry returns nil for a value that this provider did not write.
func presentEntry(reply []any) *driver.Entry {
	if len(reply) == 0 {
		return &driver.Entry{}
	}
	stored, _ := reply[0].(string)
	value, revision, err := parseKept(stored)
	if err != nil {
		return nil
	}
	return &driver.Entry{Value: value, Revision: revision}
}

// resultOfLostReply returns the result of an operation that was applied, and
// whose reply was lost. An operation without a revision changed nothing.
func resultOfLostReply(kind driver.OpKind, revision string) (r driver.Result) {
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
