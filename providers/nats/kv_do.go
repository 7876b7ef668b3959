package nats

import (
	"context"
	"sync"
	"time"

	natsgo "github.com/nats-io/nats.go"

	"fairlead.dev"
	"fairlead.dev/kv/driver"
	"fairlead.dev/providers"
)

// conflictPause is how long a write waits while another write of the same key
// holds it up.
const conflictPause = 2 * time.Millisecond

// Do implements the kv driver's Store. All requests are sent at once. An
// operation that needs a second attempt, for example a Create over a deleted
// key, gets it afterwards.
func (s *store) Do(ctx context.Context, ops []driver.Op) []driver.Result {
	results := make([]driver.Result, len(ops))
	if err := s.life.Check(ctx); err != nil {
		for i := range results {
			results[i].Err = err
		}
		return results
	}
	caller := ctx
	ctx, cancel := s.p.bound(ctx, s.life)
	defer cancel()
	b := &batch{s: s, ctx: ctx, ops: ops, results: results}
	together := b.sendRequests()
	var group sync.WaitGroup
	var refused []int
	if len(together) > 0 {
		group.Go(func() { refused = b.writeTogether(ctx, together) })
	}
	b.collectAnswers()
	group.Wait()
	b.later = append(b.later, refused...)
	b.retryLater()
	for i := range results {
		results[i].Err = explainCanceled(caller, s.life, results[i].Err)
	}
	return results
}

// batch is a Do under way.
type batch struct {
	s       *store
	ctx     context.Context
	ops     []driver.Op
	results []driver.Result

	answers chan answer
	tokens  []string
	sent    []bool // without an answer yet
	left    int
	later   []int // of ops: a second look
}

// sendRequests sends all requests, except the writes that share a batch, which
// it returns.
func (b *batch) sendRequests() (together []int) {
	shared := b.coalesced()
	b.answers = make(chan answer, len(b.ops))
	b.sent = make([]bool, len(b.ops))
	b.tokens = make([]string, 0, len(b.ops))
	now := time.Now()
	for i := range b.ops {
		op := &b.ops[i]
		if !op.Deadline.IsZero() && now.After(op.Deadline) {
			b.results[i].Err = fairlead.Errorf(fairlead.DeadlineExceeded, "the deadline passed %v before the operation was sent", now.Sub(op.Deadline))
			continue
		}
		if shared[i] {
			together = append(together, i)
			continue
		}
		m, err := b.s.firstRequest(op)
		if err != nil {
			b.results[i].Err = err
			continue
		}
		if m == nil {
			b.later = append(b.later, i)
			continue
		}
		b.sendRequest(i, m)
	}
	return together
}

func (b *batch) sendRequest(i int, m *natsgo.Msg) {
	token, err := b.s.p.calls.sendRequest(m, i, b.answers)
	if err != nil {
		b.results[i].Err = mapErr(err, false)
		return
	}
	b.tokens = append(b.tokens, token)
	b.sent[i] = true
	b.left++
}

// firstRequest returns the request with which an operation begins, and nil if
// the operation has to read first.
func (s *store) firstRequest(op *driver.Op) (*natsgo.Msg, error) {
	switch op.Kind {
	case driver.OpGet:
		return s.getRequest(op.Key), nil
	case driver.OpPut, driver.OpDelete:
		return s.writeRequest(*op), nil
	case driver.OpCreate:
		m := s.writeRequest(*op)
		expect(m, 0)
		return m, nil
	case driver.OpCAS, driver.OpDeleteIf:
		r, ours, err := s.parseRevision(op.Revision)
		switch {
		case err != nil || !ours || r.kind == deleted:
			return nil, conflict(op.Key)
		case r.kind == ofTxn:
			return nil, nil
		}
		m := s.writeRequest(*op)
		expect(m, r.seq)
		return m, nil
	}
	return nil, invalid("operation of the unknown kind %d", op.Kind)
}

// collectAnswers takes the answers until all have come or the context has
// ended.
func (b *batch) collectAnswers() {
	for ; b.left > 0; b.left-- {
		select {
		case a := <-b.answers:
			b.sent[a.index] = false
			b.takeAnswer(a)
		case <-b.ctx.Done():
			b.s.p.calls.abandon(b.tokens)
			b.giveUp()
			return
		}
	}
}

// giveUp takes the answers that have come, and sets an error for every operation
// without one.
func (b *batch) giveUp() {
	for len(b.answers) > 0 {
		a := <-b.answers
		b.sent[a.index] = false
		b.takeAnswer(a)
	}
	for i, waits := range b.sent {
		if waits {
			b.results[i].Err = b.s.errorAtEnd(b.ctx, b.ops[i].Kind.IsWrite())
		}
	}
}

// errorAtEnd returns the error of a request that has no answer when ctx ends.
func (s *store) errorAtEnd(ctx context.Context, write bool) error {
	switch {
	case write:
		return fairlead.Errorf(fairlead.UnknownOutcome, "the call ended before the server answered the write: %w", context.Cause(ctx))
	case s.life.Err() != nil:
		return s.life.Err()
	default:
		return mapErr(contextEnd(ctx, s.p.config.requestTimeout), false)
	}
}

func (b *batch) takeAnswer(a answer) {
	op, r := &b.ops[a.index], &b.results[a.index]
	if isNoResponder(a.err) {
		b.later = append(b.later, a.index)
		return
	}
	if op.Kind == driver.OpGet {
		m, err := b.s.parseLast(a)
		if m.overdue(time.Now()) {
			b.later = append(b.later, a.index)
			return
		}
		*r = b.s.resultOfRead(m, err)
		return
	}
	ack, err := parseAck(a)
	switch {
	case isAPI(err, codeWrongLast, codeWrongLastBusy), isDelete(op.Kind) && isFull(err):
		b.later = append(b.later, a.index)
	case err != nil:
		r.Err = err
	default:
		*r = b.s.resultOfWrite(op.Kind, ack.Seq)
	}
}

func isDelete(kind driver.OpKind) bool {
	return kind == driver.OpDelete || kind == driver.OpDeleteIf
}

func (s *store) resultOfWrite(kind driver.OpKind, seq uint64) (r driver.Result) {
	s.wrote.Store(true)
	if !isDelete(kind) {
		r.Revision = s.formatRevision(revision{seq: seq})
	}
	return r
}

func (s *store) resultOfRead(m *message, err error) (r driver.Result) {
	switch {
	case err != nil:
		r.Err = err
	case !m.exists():
		r.Err = fairlead.Errorf(fairlead.NotFound, "the key does not exist")
	default:
		r.Value, r.Revision = m.Data, s.formatRevision(m.revision())
	}
	return r
}

// retryLater carries out the operations that need a second attempt, all at
// once.
func (b *batch) retryLater() {
	var group sync.WaitGroup
	for _, i := range b.later {
		group.Go(func() {
			switch op := b.ops[i]; op.Kind {
			case driver.OpGet:
				b.results[i] = b.s.resultOfRead(b.s.readKey(b.ctx, op.Key))
			case driver.OpPut, driver.OpDelete:
				b.results[i] = b.s.writeAlways(b.ctx, op)
			default:
				b.results[i] = b.s.writeIf(b.ctx, op)
			}
		})
	}
	group.Wait()
}

// writeIf reads the key, and writes if the operation's condition holds and
// still holds when the server writes. It repeats a write that the server
// refused: nothing was applied then.
func (s *store) writeIf(ctx context.Context, op driver.Op) (r driver.Result) {
	for {
		m, err := s.readKey(ctx, op.Key)
		if err == nil {
			err = s.checkCondition(driver.Condition{Key: op.Key, Revision: op.Revision}, m)
		}
		if err != nil {
			r.Err = err
			return r
		}
		w := s.writeRequest(op)
		expect(w, seqOf(m))
		ack, err := s.publish(ctx, w)
		switch {
		case err == nil:
			return s.resultOfWrite(op.Kind, ack.Seq)
		case isDelete(op.Kind) && isFull(err):
			return s.removeKey(ctx, op)
		case !isAPI(err, codeWrongLast, codeWrongLastBusy):
			r.Err = err
			return r
		case !providers.Pause(ctx, conflictPause):
			r.Err = s.errorAtEnd(ctx, false)
			return r
		}
	}
}

// writeAlways writes without a condition.
func (s *store) writeAlways(ctx context.Context, op driver.Op) (r driver.Result) {
	ack, err := s.publish(ctx, s.writeRequest(op))
	if isDelete(op.Kind) && isFull(err) {
		return s.removeKey(ctx, op)
	}
	if err != nil {
		r.Err = err
		return r
	}
	return s.resultOfWrite(op.Kind, ack.Seq)
}

func (s *store) publish(ctx context.Context, m *natsgo.Msg) (pubAck, error) {
	reply, sent, err := s.p.requestUntilTaken(ctx, m)
	if err != nil {
		return pubAck{}, mapErr(err, sent)
	}
	return parseAck(answer{msg: reply})
}

func seqOf(m *message) uint64 {
	if m == nil {
		return 0
	}
	return m.Seq
}

// checkCondition returns a Conflict unless the key, whose last message is m,
// meets the condition.
func (s *store) checkCondition(c driver.Condition, m *message) error {
	if c.Revision == "" {
		if m.exists() {
			return exists(c.Key)
		}
		return nil
	}
	if !m.exists() || s.formatRevision(m.revision()) != c.Revision {
		return conflict(c.Key)
	}
	return nil
}
