package nats

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"time"

	natsgo "github.com/nats-io/nats.go"

	"fairlead.dev"
	"fairlead.dev/kv/driver"
	"fairlead.dev/providers"
)

// A transaction is an atomic batch: the server takes all of its messages, if
// the last messages of the keys have the sequences that are expected, or none.
// A condition on a key that is written goes with its write; one on another key
// goes with an empty message on a subject of its own, which is never read.

const (
	hdrBatchID     = "Nats-Batch-Id"
	hdrBatchSeq    = "Nats-Batch-Sequence"
	hdrBatchCommit = "Nats-Batch-Commit"
)

// Txn implements the kv driver's Store.
func (s *store) Txn(ctx context.Context, t driver.Txn) (driver.Revision, error) {
	if err := s.life.Check(ctx); err != nil {
		return "", err
	}
	bounded, cancel := s.p.bound(ctx, s.life)
	defer cancel()
	r, err := s.tryTxn(bounded, t)
	return r, explainCanceled(ctx, s.life, err)
}

// tryTxn repeats a transaction that had no effect while it may succeed.
func (s *store) tryTxn(ctx context.Context, t driver.Txn) (driver.Revision, error) {
	for until := time.Now().Add(noResponderPatience); ; {
		expected, err := s.readSequences(ctx, t.Conditions)
		if err != nil {
			return "", err
		}
		seq, err := s.commit(ctx, s.txnMessages(t, expected))
		switch {
		case err == nil:
			s.wrote.Store(true)
			return s.formatRevision(revision{seq: seq, kind: ofTxn}), nil
		case isAPI(err, codeWrongLast) && onRevisions(t.Conditions):
			return "", err
		case isNoResponder(err):
			if !s.p.pauseWithoutResponder(ctx, until) {
				return "", err
			}
		case !isAPI(err, codeWrongLast, codeWrongLastBusy, codeTooManyBatches, codeIncompleteBatch):
			return "", err
		case !providers.Pause(ctx, conflictPause):
			return "", s.errorAtEnd(ctx, false)
		}
	}
}

// onRevisions reports whether all conditions are on the revisions of keys. Such a
// condition fails as soon as the key has another last message. A condition that a
// key is missing may still hold then.
func onRevisions(conditions []driver.Condition) bool {
	return !slices.ContainsFunc(conditions, func(c driver.Condition) bool { return c.Revision == "" })
}

// readSequences returns the sequences of the last messages of the conditions'
// keys, if all conditions hold.
func (s *store) readSequences(ctx context.Context, conditions []driver.Condition) (map[string]uint64, error) {
	expected := make(map[string]uint64, len(conditions))
	answers := make(chan answer, len(conditions))
	var tokens []string
	defer func() { s.p.calls.abandon(tokens) }()
	for i, c := range conditions {
		token, err := s.p.calls.sendRequest(s.getRequest(c.Key), i, answers)
		if err != nil {
			return nil, mapErr(err, false)
		}
		tokens = append(tokens, token)
	}
	for range conditions {
		select {
		case a := <-answers:
			m, err := s.parseLast(a)
			if err == nil {
				err = s.settle(ctx, m)
			}
			if err == nil {
				err = s.checkCondition(conditions[a.index], m)
			}
			if err != nil {
				return nil, err
			}
			expected[conditions[a.index].Key] = seqOf(m)
		case <-ctx.Done():
			return nil, s.errorAtEnd(ctx, false)
		}
	}
	return expected, nil
}

// txnMessages returns the messages of the batch: first the conditions on keys that
// are not written, then the writes, without a gap between them.
func (s *store) txnMessages(t driver.Txn, expected map[string]uint64) []*natsgo.Msg {
	writes := make([]*natsgo.Msg, len(t.Writes))
	for i, op := range t.Writes {
		m := s.writeRequest(op)
		if m.Header == nil {
			m.Header = natsgo.Header{}
		}
		if seq, ok := expected[op.Key]; ok {
			expect(m, seq)
			delete(expected, op.Key)
		}
		m.Header[hdrTxn] = []string{strconv.Itoa(len(t.Writes) - 1 - i)}
		writes[i] = m
	}
	var all []*natsgo.Msg
	for key, seq := range expected {
		m := &natsgo.Msg{Subject: s.checks + strconv.Itoa(len(all)), Header: natsgo.Header{}}
		expect(m, seq)
		m.Header[hdrExpectedOf] = []string{s.keys + keySubject(key)}
		all = append(all, m)
	}
	return append(all, writes...)
}

// commit sends a batch and returns the sequence of its last message. The answer to
// the first message comes before the server looks at the others. It matters only
// if it is a refusal: the server then refuses the last message as well.
func (s *store) commit(ctx context.Context, msgs []*natsgo.Msg) (uint64, error) {
	if len(msgs) == 1 {
		ack, err := s.publish(ctx, msgs[0])
		return ack.Seq, err
	}
	id := randomName()
	answers := make(chan answer, 2)
	var tokens []string
	defer func() { s.p.calls.abandon(tokens) }()
	last := len(msgs) - 1
	for i, m := range msgs {
		m.Header[hdrBatchID] = []string{id}
		m.Header[hdrBatchSeq] = []string{strconv.Itoa(i + 1)}
		if i == last {
			m.Header[hdrBatchCommit] = []string{"1"}
		}
		if i > 0 && i < last {
			if err := s.p.nc.PublishMsg(m); err != nil {
				return 0, mapErr(err, false) // without its end, a batch is never applied
			}
			continue
		}
		token, err := s.p.calls.sendRequest(m, i, answers)
		if err != nil {
			return 0, mapErr(err, false)
		}
		tokens = append(tokens, token)
	}
	for {
		select {
		case a := <-answers:
			if a.index != last {
				if err := firstOfBatch(a); err != nil {
					return 0, err
				}
				continue
			}
			ack, err := parseAck(a)
			return ack.Seq, err
		case <-ctx.Done():
			return 0, s.errorAtEnd(ctx, true)
		}
	}
}

// firstOfBatch returns why the batch is refused as a whole. The answer of a
// batch that continues is empty.
func firstOfBatch(a answer) error {
	if a.err != nil || len(a.msg.Data) == 0 {
		return nil // the answer to the last message decides
	}
	_, err := parseAck(a)
	if err == nil {
		err = fairlead.Errorf(fairlead.Internal, "the server does not take batches: %s", fmt.Sprintf("%.100q", a.msg.Data))
	}
	return err
}
