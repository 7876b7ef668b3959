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

// conflictPause is how long a write waits that another one of the same key
// holds up.
const conflictPause = 2 * time.Millisecond

// Do implements the kv driver's Store. All requests go out at once. What needs
// a second look, as a Create over what was deleted, gets it afterwards.
func (s *store) Do(ctx context.Context, ops []driver.Op) []driver.Result {
	results := make([]driver.Result, len(ops))
	if err := s.life.Check(ctx); err != nil {
		for i := range results {
			results[i].Err = err
		}
		return results
	}
	ctx, cancel := s.life.Bound(ctx, s.p.config.requestTimeout)
	defer cancel()
	b := &batch{s: s, ctx: ctx, ops: ops, results: results}
	together := b.send()
	var group sync.WaitGroup
	var refused []int
	if len(together) > 0 {
		group.Go(func() { refused = b.writeTogether(ctx, together) })
	}
	b.collect()
	group.Wait()
	b.later = append(b.later, refused...)
	b.again()
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

// send sends all requests, but for the writes that are to share a batch, which
// it returns.
func (b *batch) send() (together []int) {
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
		m, err := b.s.first(op)
		if err != nil {
			b.results[i].Err = err
			continue
		}
		if m == nil {
			b.later = append(b.later, i)
			continue
		}
		b.request(i, m)
	}
	return together
}

func (b *batch) request(i int, m *natsgo.Msg) {
	token, err := b.s.p.calls.send(m, i, b.answers)
	if err != nil {
		b.results[i].Err = mapErr(err, false)
		return
	}
	b.tokens = append(b.tokens, token)
	b.sent[i] = true
	b.left++
}

// first returns the request with which an operation begins, and nil if it has
// to read first.
func (s *store) first(op *driver.Op) (*natsgo.Msg, error) {
	switch op.Kind {
	case driver.OpGet:
		return s.getRequest(op.Key), nil
	case driver.OpPut, driver.OpDelete:
		return s.write(*op), nil
	case driver.OpCreate:
		m := s.write(*op)
		expect(m, 0)
		return m, nil
	case driver.OpCAS, driver.OpDeleteIf:
		r, ours, err := s.parse(op.Revision)
		switch {
		case err != nil || !ours || r.kind == deleted:
			return nil, conflict(op.Key)
		case r.kind == ofTxn:
			return nil, nil
		}
		m := s.write(*op)
		expect(m, r.seq)
		return m, nil
	}
	return nil, invalid("operation of the unknown kind %d", op.Kind)
}

// collect takes the answers until all have come or the context has ended.
func (b *batch) collect() {
	for ; b.left > 0; b.left-- {
		select {
		case a := <-b.answers:
			b.sent[a.index] = false
			b.take(a)
		case <-b.ctx.Done():
			b.s.p.calls.forget(b.tokens)
			b.giveUp()
			return
		}
	}
}

// giveUp is for the operations without an answer.
func (b *batch) giveUp() {
	for len(b.answers) > 0 {
		a := <-b.answers
		b.sent[a.index] = false
		b.take(a)
	}
	for i, waits := range b.sent {
		if waits {
			b.results[i].Err = b.s.ending(b.ctx, b.ops[i].Kind.IsWrite())
		}
	}
}

// ending is the error of a request that has no answer when ctx ends.
func (s *store) ending(ctx context.Context, write bool) error {
	switch {
	case write:
		return fairlead.Errorf(fairlead.UnknownOutcome, "the call ended before the server answered the write: %w", context.Cause(ctx))
	case s.life.Err() != nil:
		return s.life.Err()
	default:
		return mapErr(ctx.Err(), false)
	}
}

func (b *batch) take(a answer) {
	op, r := &b.ops[a.index], &b.results[a.index]
	if isNobody(a.err) {
		b.later = append(b.later, a.index)
		return
	}
	if op.Kind == driver.OpGet {
		m, err := b.s.parseLast(a)
		if m.overdue(time.Now()) {
			b.later = append(b.later, a.index)
			return
		}
		*r = b.s.read(m, err)
		return
	}
	ack, err := parseAck(a)
	switch {
	case isAPI(err, codeWrongLast, codeWrongLastBusy):
		b.later = append(b.later, a.index)
	case err != nil:
		r.Err = err
	default:
		*r = b.s.written(op.Kind, ack.Seq)
	}
}

func (s *store) written(kind driver.OpKind, seq uint64) (r driver.Result) {
	s.wrote.Store(true)
	if kind != driver.OpDelete && kind != driver.OpDeleteIf {
		r.Revision = s.format(revision{seq: seq})
	}
	return r
}

func (s *store) read(m *message, err error) (r driver.Result) {
	switch {
	case err != nil:
		r.Err = err
	case !m.exists():
		r.Err = fairlead.Errorf(fairlead.NotFound, "the key does not exist")
	default:
		r.Value, r.Revision = m.Data, s.format(m.revision())
	}
	return r
}

// again carries out what needs a second look, all at once.
func (b *batch) again() {
	var group sync.WaitGroup
	for _, i := range b.later {
		group.Go(func() {
			switch op := b.ops[i]; op.Kind {
			case driver.OpGet:
				b.results[i] = b.s.read(b.s.last(b.ctx, op.Key))
			case driver.OpPut, driver.OpDelete:
				b.results[i] = b.s.blind(b.ctx, op)
			default:
				b.results[i] = b.s.conditional(b.ctx, op)
			}
		})
	}
	group.Wait()
}

// conditional reads the key, and writes if its state is as the operation
// demands and stays so. It repeats what the server refused: nothing was
// applied then.
func (s *store) conditional(ctx context.Context, op driver.Op) (r driver.Result) {
	for {
		m, err := s.last(ctx, op.Key)
		if err == nil {
			err = s.holds(driver.Condition{Key: op.Key, Revision: op.Revision}, m)
		}
		if err != nil {
			r.Err = err
			return r
		}
		w := s.write(op)
		expect(w, seqOf(m))
		ack, err := s.publish(ctx, w)
		switch {
		case err == nil:
			return s.written(op.Kind, ack.Seq)
		case !isAPI(err, codeWrongLast, codeWrongLastBusy):
			r.Err = err
			return r
		case !providers.Pause(ctx, conflictPause):
			r.Err = mapErr(ctx.Err(), false)
			return r
		}
	}
}

// blind writes whatever the key's state.
func (s *store) blind(ctx context.Context, op driver.Op) (r driver.Result) {
	ack, err := s.publish(ctx, s.write(op))
	if err != nil {
		r.Err = err
		return r
	}
	return s.written(op.Kind, ack.Seq)
}

func (s *store) publish(ctx context.Context, m *natsgo.Msg) (pubAck, error) {
	reply, sent, err := s.p.ask(ctx, m)
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

// holds returns a Conflict unless the key, whose last message is m, is as the
// condition demands.
func (s *store) holds(c driver.Condition, m *message) error {
	if c.Revision == "" {
		if m.exists() {
			return exists(c.Key)
		}
		return nil
	}
	if !m.exists() || s.format(m.revision()) != c.Revision {
		return conflict(c.Key)
	}
	return nil
}
