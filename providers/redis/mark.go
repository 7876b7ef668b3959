package redis

import (
	"errors"
	"sync/atomic"

	"fairlead.dev"
)

// mark is an argument of a write. It records whether the client has begun to
// put the command on a connection: until then, the write cannot have reached
// the server. Most marks also name the write, so that it can be found in the
// log of a store.
type mark struct {
	text  string // the argument as the server receives it
	state atomic.Int32
}

const (
	markUnsent int32 = iota
	markSent
	markRevoked
)

var errRevoked = errors.New("the call was given up before it was sent")

// MarshalBinary is called by go-redis when it writes the argument. An error
// keeps the command from being completed.
func (m *mark) MarshalBinary() ([]byte, error) {
	if m.state.CompareAndSwap(markUnsent, markSent) || m.sent() {
		return []byte(m.text), nil
	}
	return nil, errRevoked
}

// sent reports whether the write may have reached the server. It is false for
// the nil mark of a query.
func (m *mark) sent() bool { return m != nil && m.state.Load() == markSent }

// revoke ensures that the write no longer reaches the server. It is false if
// the write may have reached the server already.
func (m *mark) revoke() bool {
	return m.state.CompareAndSwap(markUnsent, markRevoked) || m.state.Load() == markRevoked
}

// abandonedError returns the error of a command whose call ended with err
// before the command had a reply. m is nil for a query.
func (m *mark) abandonedError(err error) error {
	if m == nil || m.revoke() {
		return err
	}
	return fairlead.Errorf(fairlead.UnknownOutcome, "the call ended before the server answered the write: %w", err)
}

// newMark returns a mark whose text no other mark of any process has.
func (p *provider) newMark() *mark {
	var b [16]byte
	return &mark{text: string(appendName(b[:0], p.markPrefix, p.marks.Add(1)))}
}
