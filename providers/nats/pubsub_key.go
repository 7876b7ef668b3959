package nats

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"

	natsgo "github.com/nats-io/nats.go"

	"fairlead.dev"
)

// The messages of a topic with one ordering key are on a subject of their own, by
// the key's hash. JetStream does not hold back the messages of a key: it hands out the
// next message of the stream. So each group has a record of each key, changed by
// compare-and-swap, and a message from the server is only a reason to look at it:
//
//   - The key is free. The consumer that has the message makes it the key's
//     token, and gets the key's head, the first message after the floor. That is
//     usually the same message.
//   - The key is taken. A message after the token is acknowledged to the server,
//     since it will be found by its subject. The record is rewritten before, so
//     that a consumer that frees the key at this moment must look once more. A
//     message before the token is given back: a message that the group has not
//     finished must not be acknowledged below the floor of the consumer, by which
//     topics are trimmed.
//   - The message is the token: its consumer died, or gave it back. The head is
//     handed out again.
//
// So the server's lease of the token is the key's lease. An acknowledgement raises
// the floor to the head. If there is another message after it, the token goes back
// to the server, for any consumer that waits; otherwise the key is free. The
// record names the consumer that has the head, so that no other one can
// acknowledge it.

// keyRecord is the state of a key in a group. Numbers are sequences.
type keyRecord struct {
	Floor   uint64 `json:"floor"`             // all up to here are settled
	Token   uint64 `json:"token,omitempty"`   // the message whose lease is the key's; 0: the key is free
	Head    uint64 `json:"head,omitempty"`    // the message that was handed out
	Attempt int    `json:"attempt,omitempty"` // how often
	Owner   string `json:"owner,omitempty"`   // the consumer that got it last
}

// covers reports whether a message of the key may be acknowledged to the
// server, given that the record was written when the message was stored already.
func (r keyRecord) covers(seq uint64) bool {
	return seq != r.Token && (seq <= r.Floor || r.Token != 0 && seq > r.Token)
}

// handOut returns the record when the head is handed out, with seq as the
// token. The head is nil if there is nothing after the floor: the messages were
// purged.
func (r keyRecord) handOut(seq uint64, head *message) keyRecord {
	if head == nil {
		return keyRecord{Floor: max(r.Floor, seq)}
	}
	n := keyRecord{Floor: r.Floor, Token: seq, Head: head.Seq, Attempt: 1, Owner: randomName()}
	if r.Head == n.Head {
		n.Attempt += r.Attempt
	}
	return n
}

// turn is the right to deal with the head of a key.
type turn struct {
	hash    string
	head    *message
	record  keyRecord
	version recordVersion
}

// keyHashOf returns the key of a message's subject; ok is false if it has no key.
func (t *topicState) keyHashOf(subject string) (hash string, ok bool) {
	return strings.CutPrefix(subject, t.keyed)
}

// subjectOf returns the subject of the messages with an ordering key; empty for
// those without.
func (t *topicState) subjectOf(key string) string {
	if key == "" {
		return t.subject
	}
	sum := sha256.Sum256([]byte(key))
	return t.keyed + hex.EncodeToString(sum[:16])
}

// takeTurn looks at a key because of one of its messages. It returns a turn,
// or whether the message may be acknowledged to the server; otherwise the
// message is given back. The record is nil if it was not written.
func (s *subscription) takeTurn(ctx context.Context, hash string, seq uint64) (t *turn, written *keyRecord, settled bool, err error) {
	for {
		r, version, err := s.keyRecord(ctx, hash)
		if err != nil || seq <= r.Floor && seq != r.Token {
			return nil, nil, err == nil, err
		}
		taken, err := s.taken(ctx, r, seq)
		switch {
		case err != nil || taken && seq < r.Token:
			return nil, nil, false, err
		case taken:
			if _, err = s.records().write(ctx, hash, r, version); isConflict(err) {
				continue
			}
			return nil, &r, err == nil, err
		}
		head, err := s.next(ctx, hash, r.Floor+1)
		if err != nil {
			return nil, nil, false, err
		}
		n := r.handOut(seq, head)
		if version, err = s.records().write(ctx, hash, n, version); isConflict(err) {
			continue
		}
		if head == nil || err != nil {
			return nil, &n, err == nil, err
		}
		return &turn{hash: hash, head: head, record: n, version: version}, &n, false, nil
	}
}

func isConflict(err error) bool { return errors.Is(err, fairlead.Conflict) }

// keyRecord reads the record of a key. Where there is none, nothing is
// settled that the server does not know of.
func (s *subscription) keyRecord(ctx context.Context, hash string) (keyRecord, recordVersion, error) {
	r, version, err := s.records().read(ctx, hash)
	if err != nil || version.exists() {
		return r, version, err
	}
	info, err := s.p.consumerInfo(ctx, s.stream, s.consumer)
	if err != nil {
		return r, version, err
	}
	// A record that was made since may know of more than the server then did.
	if r, version, err = s.records().read(ctx, hash); err == nil && !version.exists() {
		r.Floor = info.Acked.Stream
	}
	return r, version, err
}

// taken reports whether another message than seq is the key's token. One that
// is gone from the stream never comes again.
func (s *subscription) taken(ctx context.Context, r keyRecord, seq uint64) (bool, error) {
	if r.Token == 0 || r.Token == seq {
		return false, nil
	}
	m, err := s.p.readFrom(ctx, s.stream, r.Token, ">")
	return m != nil && m.Seq == r.Token, err
}

// next returns the first message of a key at or after a sequence.
func (s *subscription) next(ctx context.Context, hash string, seq uint64) (*message, error) {
	return s.p.readFrom(ctx, s.stream, seq, s.current.Load().keyed+hash)
}

// settleHead raises the floor to the head. last says that the key is free.
func (s *subscription) settleHead(ctx context.Context, t *turn) (last bool, err error) {
	r, version := t.record, t.version
	for {
		if r.Owner != t.record.Owner {
			return false, lostLease()
		}
		next, err := s.next(ctx, t.hash, r.Head+1)
		if err != nil {
			return false, err
		}
		n := keyRecord{Floor: r.Head}
		if next != nil {
			n.Token = r.Token
		}
		if _, err = s.records().write(ctx, t.hash, n, version); !isConflict(err) {
			return next == nil, err
		}
		if r, version, err = s.records().read(ctx, t.hash); err != nil {
			return false, err
		}
	}
}

// settleTurn acknowledges the head of a key.
func (s *subscription) settleTurn(ctx context.Context, token string, x lease) error {
	last, err := s.settleHead(ctx, x.turn)
	if fairlead.CodeOf(err) == fairlead.Closed && s.life.Err() == nil {
		return lostLease() // the topic was deleted, and the subscription goes on with another one
	}
	if err != nil {
		return err
	}
	s.leases.remove(token)
	// If this does not reach the server, the server hands the token to a consumer
	// later, and that consumer reads the record.
	if last {
		_ = s.p.nc.Publish(x.reply, []byte("+ACK"))
	} else {
		s.giveBack(x.reply)
	}
	return nil
}

// giveBackLater gives back a message that cannot be handled now, after a pause.
func (s *subscription) giveBackLater(reply string) {
	_ = s.p.nc.Publish(reply, fmt.Appendf(nil, `-NAK {"delay":%d}`, keyRetry.Nanoseconds()))
}

// arrived is a message with a key, as the server handed it out.
type arrived struct {
	*natsgo.Msg
	seq uint64
}

// takeKeyed takes the messages of one hash, in their order, and returns the
// turn, if it gets one, and the address that settles it.
func (s *subscription) takeKeyed(ctx context.Context, hash string, msgs []arrived) (got *turn, reply string, err error) {
	var known *keyRecord
	for i, m := range msgs {
		settled := known != nil && known.covers(m.seq)
		if known == nil {
			var t *turn
			if t, known, settled, err = s.takeTurn(ctx, hash, m.seq); err != nil {
				s.giveBackKeyed(msgs[i:])
				return got, reply, err
			}
			if t != nil {
				got, reply = t, m.Reply
				continue
			}
		}
		if settled {
			_ = s.p.nc.Publish(m.Reply, []byte("+ACK")) // or it comes again, and is found to be settled
		} else {
			s.giveBackLater(m.Reply)
		}
	}
	return got, reply, nil
}

func (s *subscription) giveBackKeyed(msgs []arrived) {
	for _, m := range msgs {
		s.giveBackLater(m.Reply)
	}
}
