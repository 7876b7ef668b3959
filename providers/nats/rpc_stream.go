package nats

import (
	"context"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	natsgo "github.com/nats-io/nats.go"

	"fairlead.dev"
	"fairlead.dev/providers"
	"fairlead.dev/rpc/driver"
)

// stream is one end of a call.
type stream struct {
	c       *carrier
	address string      // to which the peer sends
	service string      // of a client's end
	server  bool        // this is a server's end, which knows its peer from the beginning
	removed atomic.Bool // from the carrier

	mu      sync.Mutex
	changed providers.Signal // of anything below

	// What is sent.
	peer    string        // address of the other end; empty: not known yet
	sent    uint64        // packets
	last    time.Duration // when the last one was sent, since beginning
	offer   []byte        // the packet that opens the call
	offered int           // how often it was offered
	queued  bool          // the offer is queued in the outbox
	pending [][]byte      // frames that wait for the peer's address
	ended   bool          // the frame that ends the call was sent
	closed  bool          // by this end
	since   time.Duration

	// What is received.
	came  uint64 // packets
	heard time.Duration
	piece []byte
	inbox []driver.Frame
	err   error // why nothing more comes after the inbox
}

func (c *carrier) newStream() *stream {
	now := sinceBeginning()
	b := make([]byte, 0, 64)
	address := string(strconv.AppendUint(append(b, c.prefix...), c.named.Add(1), 36))
	return &stream{c: c, address: address, last: now, heard: now}
}

// token returns the last token of the address.
func (s *stream) token() string { return s.address[len(s.c.prefix):] }

var beginning = time.Now()

// sinceBeginning returns the time since beginning, which takes a third of the memory
// of a time.Time.
func sinceBeginning() time.Duration { return time.Since(beginning) }

// Every call ends with one of these errors. They are made once.
var (
	errPeerClosed   = fairlead.Errorf(fairlead.Closed, "the other end of the call closed it")
	errStreamClosed = fairlead.Errorf(fairlead.Closed, "the stream is closed")
)

// offerCall offers the call to the servers of its service.
func (s *stream) offerCall() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed || s.err != nil {
		return nil
	}
	s.offered++
	if s.offered == 1 && s.c.batches(len(s.offer)) {
		s.queued = true
		s.c.calls.add(s.c.p.serviceSubject(s.service), outgoing{s, s.offer})
		return nil
	}
	m := &natsgo.Msg{Subject: s.c.p.serviceSubject(s.service), Reply: s.address, Data: s.offer}
	return mapErr(s.c.p.nc.PublishMsg(m), false)
}

// takeFromQueue reports whether a queued call should still be offered.
func (s *stream) takeFromQueue() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.queued = false
	return !s.closed && s.err == nil
}

// handleNoResponder handles the broker's answer that no subscriber took a packet.
func (s *stream) handleNoResponder() {
	s.mu.Lock()
	again := s.peer == "" && s.offered > 0 && s.offered < offers
	s.mu.Unlock()
	if again {
		time.AfterFunc(offerPause, func() {
			if err := s.offerCall(); err != nil {
				s.fail(err)
			}
		})
		return
	}
	if s.offered > 0 && s.hasNoPeer() {
		s.fail(fairlead.Errorf(fairlead.NotFound, "no server listens for the service %q", s.service))
		return
	}
	s.fail(fairlead.Errorf(fairlead.Unavailable, "the other end of the call is gone"))
}

func (s *stream) hasNoPeer() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.peer == ""
}

// fail ends the stream. Frames that came before can still be read.
func (s *stream) fail(err error) {
	s.mu.Lock()
	s.end(err)
	s.mu.Unlock()
	s.c.remove(s)
}

// end is called with the lock held.
func (s *stream) end(err error) {
	if s.err == nil {
		s.err = err
	}
	s.changed.Fire()
}

// receive takes a packet.
func (s *stream) receive(from string, data []byte) {
	k, err := parsePacket(data)
	switch {
	case err == nil && k.kind == packetReset:
		s.fail(fairlead.Errorf(fairlead.Unavailable, "the other end of the call is gone"))
		return
	case err == nil && k.kind == packetRefuse:
		s.handleNoResponder()
		return
	}
	s.mu.Lock()
	over := s.take(from, k, err)
	s.mu.Unlock()
	if over {
		s.c.remove(s)
	}
}

// take is called with the lock held, and reports whether the stream is at its
// end.
func (s *stream) take(from string, k packet, err error) (over bool) {
	switch {
	case err != nil:
		s.end(fairlead.Errorf(fairlead.Internal, "the other end of the call sent %w", err))
		return true
	case k.number != s.came:
		s.end(fairlead.Errorf(fairlead.Unavailable, "a packet of the call was lost on its way"))
		return true
	}
	s.came++
	s.heard = sinceBeginning()
	if s.peer == "" && from != "" {
		s.peer = strings.Clone(from)
		s.flush()
		if s.closed {
			return true
		}
	}
	switch k.kind {
	case packetClose:
		s.end(errPeerClosed)
		return true
	case packetPiece, packetFrames:
		return s.frames(k)
	}
	return false
}

func (s *stream) frames(k packet) (over bool) {
	body := k.body
	if len(s.piece) > 0 || k.kind == packetPiece {
		if len(s.piece)+len(body) > 2*maxFrameBytes+driver.Window {
			s.end(fairlead.Errorf(fairlead.Internal, "the other end of the call sent more than may be under way"))
			return true
		}
		s.piece = append(s.piece, body...)
		if k.kind == packetPiece {
			return false
		}
		body, s.piece = s.piece, nil
	}
	frames, err := parseFrames(body)
	if err != nil {
		s.end(fairlead.Errorf(fairlead.Internal, "the other end of the call sent %w", err))
		return true
	}
	if !s.closed {
		if s.inbox == nil {
			s.inbox = frames
		} else {
			s.inbox = append(s.inbox, frames...)
		}
		s.changed.Fire()
	}
	if ends(frames) {
		s.end(errPeerClosed)
		return true
	}
	return false
}

// ends reports whether frames end their call. The server closes its end after
// them, as the contract says, and neither end sends a packet to say so.
func ends(frames []driver.Frame) bool {
	return len(frames) > 0 && frames[len(frames)-1].Kind == driver.FrameTrailers
}

// flush sends the packets that waited for the peer's address. The lock is held.
func (s *stream) flush() {
	for _, blob := range s.pending {
		if err := s.writePackets(blob); err != nil {
			s.end(err)
		}
	}
	s.pending = nil
	if s.closed {
		s.packet(packetClose, nil)
	}
}

// writeFrames sends frames. The lock is held.
func (s *stream) writeFrames(frames []driver.Frame) error {
	b := appendPacket(make([]byte, 0, packetHeader+roomFor(frames)), packet{number: s.sent, kind: packetFrames})
	header := len(b)
	if b = appendFrames(b, frames); len(b)-header > s.c.p.packetBody() {
		return s.writePackets(b[header:])
	}
	if s.sent == 0 && s.server && ends(frames) && s.c.batches(len(b)) {
		s.sent++ // this packet is all that is ever sent
		s.c.answers.add(prefixOf(s.peer), outgoing{s, b})
		return nil
	}
	return s.publish(b)
}

// writePackets sends frames, in pieces if need be. The lock is held.
func (s *stream) writePackets(blob []byte) error {
	limit := s.c.p.packetBody()
	for len(blob) > limit {
		if err := s.packet(packetPiece, blob[:limit]); err != nil {
			return err
		}
		blob = blob[limit:]
	}
	return s.packet(packetFrames, blob)
}

// packet sends one to the peer. The lock is held.
func (s *stream) packet(kind packetKind, body []byte) error {
	return s.publish(appendPacket(make([]byte, 0, len(body)+packetHeader), packet{number: s.sent, kind: kind, body: body}))
}

// publish sends the next packet to the peer. The lock is held.
func (s *stream) publish(b []byte) error {
	err := s.c.p.nc.PublishMsg(&natsgo.Msg{Subject: s.peer, Reply: s.address, Data: b})
	if err != nil {
		return mapErr(err, false)
	}
	s.sent++
	s.last = sinceBeginning()
	return nil
}

// Send implements the rpc driver's Stream.
func (s *stream) Send(ctx context.Context, frames []driver.Frame) error {
	if err := fairlead.ContextError(ctx); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.closed:
		return errStreamClosed
	case s.err != nil:
		return s.err
	case s.ended:
		// Late credits: nothing is read after the trailers, and these
		// may still wait to share a message, which would be overtaken.
		return nil
	case s.peer == "":
		s.pending = append(s.pending, appendFrames(nil, frames))
		return nil
	}
	err := s.writeFrames(frames)
	if err != nil {
		s.end(err) // the numbers of the packets would have a gap
	}
	s.ended = s.ended || ends(frames)
	return err
}

// Recv implements the rpc driver's Stream.
func (s *stream) Recv(ctx context.Context) ([]driver.Frame, error) {
	for {
		frames, changed, err := s.tryRecv()
		if frames != nil || err != nil {
			return frames, err
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return nil, mapErr(ctx.Err(), false)
		}
	}
}

func (s *stream) tryRecv() ([]driver.Frame, <-chan struct{}, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil, nil, errStreamClosed
	}
	return providers.TakeInbox(&s.inbox, s.err, &s.changed)
}

// Close implements the rpc driver's Stream.
func (s *stream) Close(context.Context) error {
	s.mu.Lock()
	lingers := s.shut()
	s.mu.Unlock()
	if !lingers {
		s.c.remove(s)
	}
	return nil
}

// shut closes this end. The lock is held. It reports whether the stream must
// wait for the peer's address before it can send its pending packets.
func (s *stream) shut() (lingers bool) {
	if s.closed {
		return s.peer == "" && s.err == nil && len(s.pending) > 0
	}
	s.closed, s.since, s.inbox = true, sinceBeginning(), nil
	s.changed.Fire()
	switch {
	case s.err != nil, s.ended, s.queued:
		return false
	case s.peer != "":
		_ = s.packet(packetClose, nil) // or the silence tells the other end
		return false
	case len(s.pending) > 0:
		return true
	}
	_ = s.c.p.nc.PublishMsg(&natsgo.Msg{Subject: s.c.p.cancelSubject(s.service), Data: []byte(s.address)})
	return false
}

// beat is called a few times a second.
func (s *stream) beat(now time.Duration) {
	s.mu.Lock()
	over := false
	switch {
	case s.closed:
		over = now-s.since > silence
	case now-s.heard > silence:
		s.end(fairlead.Errorf(fairlead.Unavailable, "the other end of the call has not been heard of for %v", silence))
		over = true
	case s.peer != "" && now-s.last >= beatEvery && !s.ended: // the trailers may still wait to share a message
		if err := s.packet(packetBeat, nil); err != nil {
			s.end(err)
			over = true
		}
	}
	s.mu.Unlock()
	if over {
		s.c.remove(s)
	}
}
