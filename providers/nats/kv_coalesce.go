package nats

import (
	"context"

	natsgo "github.com/nats-io/nats.go"

	"fairlead.dev/kv/driver"
)

// A server with sync_interval always syncs after each message, but once for an
// atomic batch. So writes without a condition, of concurrent callers, share a
// batch where there are enough of them: none of them can make the others fail.

const (
	coalesceLeast = 8        // a batch costs the server as much as some syncs
	coalesceBytes = 64 << 10 // longest value: for a longer one, the sync matters little
)

// coalesced picks the writes that share a batch, if there are enough: one for
// each key.
func (b *batch) coalesced() map[int]bool {
	if len(b.ops) < coalesceLeast || !b.s.p.syncsAlways.Load() {
		return nil
	}
	chosen, keys := map[int]bool{}, map[string]bool{}
	for i, op := range b.ops {
		blind := op.Kind == driver.OpPut || op.Kind == driver.OpDelete
		if blind && len(op.Value) <= coalesceBytes && !keys[op.Key] {
			chosen[i], keys[op.Key] = true, true
		}
	}
	if len(chosen) < coalesceLeast {
		return nil
	}
	return chosen
}

// writeTogether carries out writes as one batch. If the server did not take the
// batch, it returns the writes that are to be carried out one by one.
func (b *batch) writeTogether(ctx context.Context, chosen []int) (again []int) {
	msgs := make([]*natsgo.Msg, len(chosen))
	for n, i := range chosen {
		if msgs[n] = b.s.writeRequest(b.ops[i]); msgs[n].Header == nil {
			msgs[n].Header = natsgo.Header{}
		}
	}
	last, err := b.s.commit(ctx, msgs)
	if isNoResponder(err) || isAPI(err, codeTooManyBatches, codeIncompleteBatch) || isFull(err) {
		return chosen
	}
	for n, i := range chosen {
		if err != nil {
			b.results[i].Err = err
		} else {
			b.results[i] = b.s.resultOfWrite(b.ops[i].Kind, last-uint64(len(chosen)-1-n))
		}
	}
	return nil
}
