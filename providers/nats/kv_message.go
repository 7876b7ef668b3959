package nats

import (
	"context"
	"encoding/json"
	"strconv"
	"strings"
	"time"

	natsgo "github.com/nats-io/nats.go"

	"fairlead.dev"
	"fairlead.dev/kv/driver"
)

// The headers of messages that we set or read.
const (
	hdrTTL          = "Nats-TTL"
	hdrExpected     = "Nats-Expected-Last-Subject-Sequence"
	hdrExpectedLast = "Nats-Expected-Last-Sequence"
	hdrExpectedOf   = "Nats-Expected-Last-Subject-Sequence-Subject"
	hdrMarkerReason = "Nats-Marker-Reason"
	hdrOperation    = "KV-Operation" // PURGE marks a deleted key, as in NATS KV
	hdrTxn          = "Fairlead-Txn" // the number of messages of the transaction after this one
	reasonExpired   = "MaxAge"
	operationPurge  = "PURGE"
)

// message is one that is kept in the stream.
type message struct {
	Subject string    `json:"subject"`
	Seq     uint64    `json:"seq"`
	Headers []byte    `json:"hdrs"`
	Data    []byte    `json:"data"`
	Time    time.Time `json:"time"`

	header natsgo.Header
	ended  bool // its time to live has
}

type getReply struct {
	Error   *apiError `json:"error"`
	Message *message  `json:"message"`
}

// parseGet returns the message of an answer, and nil if there is none.
func parseGet(a answer) (*message, error) {
	if a.err != nil {
		return nil, mapErr(a.err, false)
	}
	var r getReply
	if err := json.Unmarshal(a.msg.Data, &r); err != nil {
		return nil, fairlead.Errorf(fairlead.Internal, "unexpected answer of the server: %w", err)
	}
	switch {
	case r.Error != nil && r.Error.ErrCode == codeNoMessage:
		return nil, nil
	case r.Error != nil:
		return nil, mapErr(r.Error, false)
	case r.Message == nil:
		return nil, fairlead.Errorf(fairlead.Internal, "unexpected answer of the server: %.100q", a.msg.Data)
	}
	return r.Message, r.Message.decode()
}

func (m *message) decode() error {
	if len(m.Headers) == 0 {
		return nil
	}
	h, err := natsgo.DecodeHeadersMsg(m.Headers)
	if err != nil {
		return fairlead.Errorf(fairlead.Internal, "the headers of message %d cannot be read: %w", m.Seq, err)
	}
	m.header = h
	return nil
}

// state returns which kind of change the message is for its key.
func (m *message) state() driver.EventKind {
	switch {
	case m.header == nil:
		return driver.PutEvent
	case m.header.Get(hdrMarkerReason) == reasonExpired:
		return driver.ExpireEvent
	case m.header.Get(hdrMarkerReason) != "", m.header.Get(hdrOperation) != "":
		return driver.DeleteEvent
	}
	return driver.PutEvent
}

// exists reports whether the key has a value; m may be nil.
func (m *message) exists() bool { return m != nil && !m.ended && m.state() == driver.PutEvent }

// overdue reports whether the time to live has ended at a time of the server's
// clock. The server itself ends it soon, but later after a restart.
func (m *message) overdue(now time.Time) bool {
	if m == nil || m.header == nil || m.state() != driver.PutEvent {
		return false
	}
	n, err := strconv.ParseInt(m.header.Get(hdrTTL), 10, 64)
	return err == nil && n <= int64(fairlead.MaxDuration/time.Second) && now.Sub(m.Time) >= time.Duration(n)*time.Second
}

// settle finds out whether a time to live that has ended by our clock has ended by
// the server's.
func (s *store) settle(ctx context.Context, m *message) error {
	if !m.overdue(time.Now()) {
		return nil
	}
	info, err := s.p.streamInfo(ctx, s.stream)
	if err == nil {
		m.ended = m.overdue(info.Now)
	}
	return err
}

// revision returns the revision that the message gives its key.
func (m *message) revision() revision {
	r := revision{seq: m.Seq}
	if m.header != nil {
		if rest := m.header.Get(hdrTxn); rest != "" {
			n, _ := strconv.ParseUint(rest, 10, 32)
			r.seq, r.kind = r.seq+n, ofTxn
		}
	}
	if !m.exists() {
		r.kind = deleted
	}
	return r
}

// getRequest asks for the last message of a key.
func (s *store) getRequest(key string) *natsgo.Msg {
	if s.direct {
		return &natsgo.Msg{Subject: apiPrefix + "DIRECT.GET." + s.stream + "." + s.keys + keySubject(key)}
	}
	body := append(make([]byte, 0, len(s.keys)+len(key)+32), `{"last_by_subj":"`...)
	body = append(append(body, s.keys...), keySubject(key)...)
	return &natsgo.Msg{Subject: apiPrefix + "STREAM.MSG.GET." + s.stream, Data: append(body, `"}`...)}
}

// parseLast returns the message of an answer to getRequest, and nil if there is
// none.
func (s *store) parseLast(a answer) (*message, error) {
	if !s.direct || a.err != nil {
		return parseGet(a)
	}
	h := a.msg.Header
	switch status := h.Get("Status"); {
	case status == "404":
		return nil, nil
	case status != "":
		return nil, fairlead.Errorf(fairlead.Unavailable, "the server answers a read with %s %s", status, h.Get("Description"))
	}
	seq, err := strconv.ParseUint(h.Get("Nats-Sequence"), 10, 64)
	if err != nil {
		return nil, fairlead.Errorf(fairlead.Internal, "unexpected answer of the server: %w", err)
	}
	m := &message{Seq: seq, Data: a.msg.Data, header: h}
	if h.Get(hdrTTL) != "" { // otherwise the time is not used
		m.Time, err = time.Parse(time.RFC3339Nano, h.Get("Nats-Time-Stamp"))
	}
	if err != nil {
		return nil, fairlead.Errorf(fairlead.Internal, "unexpected answer of the server: %w", err)
	}
	return m, nil
}

// readKey returns the last message of a key, and nil if there is none.
func (s *store) readKey(ctx context.Context, key string) (*message, error) {
	reply, _, err := s.p.requestUntilTaken(ctx, s.getRequest(key))
	m, err := s.parseLast(answer{msg: reply, err: err})
	if err == nil {
		err = s.settle(ctx, m)
	}
	return m, err
}

func (s *store) readMessage(ctx context.Context, request *natsgo.Msg) (*message, error) {
	reply, _, err := s.p.requestUntilTaken(ctx, request)
	return parseGet(answer{msg: reply, err: err})
}

// readSequence returns the message with this sequence, and nil if there is
// none.
func (s *store) readSequence(ctx context.Context, seq uint64) (*message, error) {
	body := []byte(`{"seq":` + strconv.FormatUint(seq, 10) + `}`)
	return s.readMessage(ctx, &natsgo.Msg{Subject: apiPrefix + "STREAM.MSG.GET." + s.stream, Data: body})
}

// removeMessage removes the message with this sequence, and reports whether it was
// still there. It takes no room.
func (s *store) removeMessage(ctx context.Context, seq uint64) (removed bool, err error) {
	err = s.p.callAPI(ctx, "STREAM.MSG.DELETE."+s.stream, map[string]any{"seq": seq, "no_erase": true}, nil, true)
	if isAPI(err, codeNoMessage, codeNoSequence, codeDeleteFailed) {
		return false, nil
	}
	return err == nil, err
}

// writeRequest returns the message of a write without a condition.
func (s *store) writeRequest(op driver.Op) *natsgo.Msg {
	m := &natsgo.Msg{Subject: s.keys + keySubject(op.Key), Data: op.Value}
	switch op.Kind {
	case driver.OpDelete, driver.OpDeleteIf:
		m.Data = nil
		m.Header = natsgo.Header{hdrOperation: {operationPurge}, hdrTTL: {seconds(s.history)}}
	default:
		if op.TTL > 0 {
			m.Header = natsgo.Header{hdrTTL: {seconds(op.TTL)}}
		}
	}
	return m
}

// expect makes the write depend on the sequence of the key's last message. 0 means
// that there is no such message.
func expect(m *natsgo.Msg, seq uint64) {
	if m.Header == nil {
		m.Header = natsgo.Header{}
	}
	m.Header[hdrExpected] = []string{strconv.FormatUint(seq, 10)}
}

// seconds returns a duration in whole seconds, rounded up, and not more than
// MaxDuration: the server counts in nanoseconds, until the year 2262.
func seconds(d time.Duration) string {
	d = min(d, fairlead.MaxDuration)
	return strconv.FormatInt(int64((d+time.Second-1)/time.Second), 10)
}

func conflict(key string) error {
	return fairlead.Errorf(fairlead.Conflict, "the key %q does not have the revision", brief(key))
}

func exists(key string) error {
	return fairlead.Errorf(fairlead.Conflict, "the key %q exists", brief(key))
}

func brief(s string) string {
	if len(s) > 64 {
		return strings.ToValidUTF8(s[:64], "") + "…"
	}
	return s
}
