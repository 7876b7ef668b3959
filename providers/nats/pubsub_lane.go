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

// A lane is the messages of a topic with one ordering key, on a subject of their
// own, as one group sees them. JetStream knows no lanes: it hands out the next
// message of the stream. So each group has a record of each lane, changed by
// compare-and-swap, and a message from the server is only a reason to look at it:
//
//   - The lane is free. The consumer that has the message makes it the lane's
//     token, and gets the lane's head, the first message after the floor. That is
//     mostly the same message.
//   - The lane is taken. A message after the token is acknowledged to the server,
//     since it will be found by its subject. The record is rewritten before, so
//     that a consumer that frees the lane at this moment must look once more. A
//     message before the token is given back: a message that the group has not
//     finished must not be acknowledged below the floor of the consumer, by which
//     topics are trimmed.
//   - The message is the token: its consumer died, or gave it back. The head is
//     handed out again.
//
// So the server's lease of the token is the lane's lease. An acknowledgement raises
// the floor to the head. If there is another message after it, the token goes back
// to the server, for any consumer that waits; otherwise the lane is free. The
// record names the consumer that has the head, so that no other one can
// acknowledge it.

// laneRecord is the state of a lane in a group. Numbers are sequences.
type laneRecord struct {
	Floor   uint64 `json:"floor"`             // all up to here are settled
	Token   uint64 `json:"token,omitempty"`   // the message whose lease is the lane's; 0: the lane is free
	Head    uint64 `json:"head,omitempty"`    // the message that was handed out
	Attempt int    `json:"attempt,omitempty"` // how often
	Owner   string `json:"owner,omitempty"`   // the consumer that got it last
}

// covers reports whether a message of the lane may be acknowledged to the
// server, given that the record was written when the message was stored already.
func (r laneRecord) covers(seq uint64) bool {
	return seq != r.Token && (seq <= r.Floor || r.Token != 0 && seq > r.Token)
}

// handOut returns the record when the head is handed out, with seq as the
// token. The head is nil if there is nothing after the floor: the messages were
// purged.
func (r laneRecord) handOut(seq uint64, head *message) laneRecord {
	if head == nil {
		return laneRecord{Floor: max(r.Floor, seq)}
	}
	n := laneRecord{Floor: r.Floor, Token: seq, Head: head.Seq, Attempt: 1, Owner: randomName()}
	if r.Head == n.Head {
		n.Attempt += r.Attempt
	}
	return n
}

// turn is the right to deal with the head of a lane.
type turn struct {
	lane     string
	head     *message
	record   laneRecord
	revision string
}

// laneOf returns the lane of a message's subject; ok is false if it has no key.
func (t *topicState) laneOf(subject string) (lane string, ok bool) {
	return strings.CutPrefix(subject, t.lanes)
}

// subjectOf returns the subject of the messages with an ordering key; empty for
// those without.
func (t *topicState) subjectOf(key string) string {
	if key == "" {
		return t.subject
	}
	sum := sha256.Sum256([]byte(key))
	return t.lanes + hex.EncodeToString(sum[:16])
}

// takeTurn looks at a lane because of one of its messages. It returns a turn,
// or whether the message may be acknowledged to the server; otherwise the
// message is given back. The record is nil if it was not written.
func (s *subscription) takeTurn(ctx context.Context, lane string, seq uint64) (t *turn, written *laneRecord, settled bool, err error) {
	for {
		r, revision, err := s.laneRecord(ctx, lane)
		if err != nil || seq <= r.Floor && seq != r.Token {
			return nil, nil, err == nil, err
		}
		taken, err := s.taken(ctx, r, seq)
		switch {
		case err != nil || taken && seq < r.Token:
			return nil, nil, false, err
		case taken:
			if _, err = s.book().write(ctx, lane, r, revision); isConflict(err) {
				continue
			}
			return nil, &r, err == nil, err
		}
		head, err := s.next(ctx, lane, r.Floor+1)
		if err != nil {
			return nil, nil, false, err
		}
		n := r.handOut(seq, head)
		if revision, err = s.book().write(ctx, lane, n, revision); isConflict(err) {
			continue
		}
		if head == nil || err != nil {
			return nil, &n, err == nil, err
		}
		return &turn{lane: lane, head: head, record: n, revision: revision}, &n, false, nil
	}
}

func isConflict(err error) bool { return errors.Is(err, fairlead.Conflict) }

// laneRecord reads the record of a lane. Where there is none, nothing is
// settled that the server does not know of.
func (s *subscription) laneRecord(ctx context.Context, lane string) (laneRecord, string, error) {
	r, revision, err := s.book().read(ctx, lane)
	if err != nil || revision != "" {
		return r, revision, err
	}
	info, err := s.p.consumerInfo(ctx, s.stream, s.consumer)
	if err != nil {
		return r, "", err
	}
	// A record that was made since may know of more than the server then did.
	if r, revision, err = s.book().read(ctx, lane); revision == "" {
		r.Floor = info.Acked.Stream
	}
	return r, revision, err
}

// taken reports whether another message than seq is the lane's token. One that
// is gone from the stream never comes again.
func (s *subscription) taken(ctx context.Context, r laneRecord, seq uint64) (bool, error) {
	if r.Token == 0 || r.Token == seq {
		return false, nil
	}
	m, err := s.p.readFrom(ctx, s.stream, r.Token, ">")
	return m != nil && m.Seq == r.Token, err
}

// next returns the first message of a lane at or after a sequence.
func (s *subscription) next(ctx context.Context, lane string, seq uint64) (*message, error) {
	return s.p.readFrom(ctx, s.stream, seq, s.current.Load().lanes+lane)
}

// leaveLane raises the floor to the head. last says that the lane is free.
func (s *subscription) leaveLane(ctx context.Context, t *turn) (last bool, err error) {
	r, revision := t.record, t.revision
	for {
		if r.Owner != t.record.Owner {
			return false, lostLease()
		}
		next, err := s.next(ctx, t.lane, r.Head+1)
		if err != nil {
			return false, err
		}
		n := laneRecord{Floor: r.Head}
		if next != nil {
			n.Token = r.Token
		}
		if _, err = s.book().write(ctx, t.lane, n, revision); !isConflict(err) {
			return next == nil, err
		}
		if r, revision, err = s.book().read(ctx, t.lane); err != nil {
			return false, err
		}
	}
}

// settleTurn acknowledges the head of a lane.
func (s *subscription) settleTurn(ctx context.Context, token string, x lease) error {
	last, err := s.leaveLane(ctx, x.turn)
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
	_ = s.p.nc.Publish(reply, fmt.Appendf(nil, `-NAK {"delay":%d}`, laneRetry.Nanoseconds()))
}

// arrived is a message with a key, as the server handed it out.
type arrived struct {
	*natsgo.Msg
	seq uint64
}

// passLane takes the messages of one lane, in their order, and returns the
// turn, if it gets one, and the address that settles it.
func (s *subscription) passLane(ctx context.Context, lane string, msgs []arrived) (got *turn, reply string, err error) {
	var known *laneRecord
	for i, m := range msgs {
		settled := known != nil && known.covers(m.seq)
		if known == nil {
			var t *turn
			if t, known, settled, err = s.takeTurn(ctx, lane, m.seq); err != nil {
				s.abortLane(msgs[i:])
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

func (s *subscription) abortLane(msgs []arrived) {
	for _, m := range msgs {
		s.giveBackLater(m.Reply)
	}
}
