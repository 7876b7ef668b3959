package redis

import (
	"errors"
	"net"
	"os"
	"sync"
	"syscall"
	"time"
)

// recheckInterval is how often a waiting connection checks whether its call has
// ended.
const recheckInterval = 100 * time.Millisecond

// ioWait is the wait of one direction of a connection.
type ioWait struct {
	mu       sync.Mutex
	call     *call // nil for a call that is not ours
	deadline time.Time
}

// begin sets the deadline of the wait, and the call that the deadline named
// identifies. It returns the time of the first check.
func (w *ioWait) begin(named, deadline time.Time) time.Time {
	c := zones.callOf(named)
	w.mu.Lock()
	w.call, w.deadline = c, deadline
	w.mu.Unlock()
	return w.nextCheck()
}

// nextCheck returns when to check again, at the latest at the deadline.
func (w *ioWait) nextCheck() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.call == nil {
		return w.deadline
	}
	if next := time.Now().Add(recheckInterval); next.Before(w.deadline) {
		return next
	}
	return w.deadline
}

// continues reports whether err only says that a check is due, and the wait has
// not ended.
func (w *ioWait) continues(err error) bool {
	if !errors.Is(err, os.ErrDeadlineExceeded) {
		return false
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.call != nil && !w.call.ended() && time.Now().Before(w.deadline)
}

// conn is a TCP connection whose waits end with the call that it carries.
type conn struct {
	*net.TCPConn
	writeTimeout time.Duration
	read, write  ioWait
}

// Before it sends a command, go-redis checks the socket of a connection without
// TLS to see whether the server has closed it.
var _ syscall.Conn = (*conn)(nil)

// SetDeadline implements net.Conn.
func (c *conn) SetDeadline(t time.Time) error {
	return errors.Join(c.SetReadDeadline(t), c.SetWriteDeadline(t))
}

// SetReadDeadline implements net.Conn.
func (c *conn) SetReadDeadline(t time.Time) error {
	return c.TCPConn.SetReadDeadline(c.read.begin(t, t))
}

// SetWriteDeadline implements net.Conn.
func (c *conn) SetWriteDeadline(t time.Time) error {
	deadline := time.Now().Add(c.writeTimeout)
	if t.IsZero() || t.Before(deadline) {
		deadline = t
	}
	return c.TCPConn.SetWriteDeadline(c.write.begin(t, deadline))
}

// Read implements net.Conn.
func (c *conn) Read(p []byte) (int, error) {
	for {
		n, err := c.TCPConn.Read(p)
		if n > 0 || !c.read.continues(err) {
			return n, err
		}
		if err := c.TCPConn.SetReadDeadline(c.read.nextCheck()); err != nil {
			return 0, err
		}
	}
}

// Write implements net.Conn.
func (c *conn) Write(p []byte) (written int, err error) {
	for {
		n, err := c.TCPConn.Write(p[written:])
		written += n
		if written == len(p) || !c.write.continues(err) {
			return written, err
		}
		if err := c.TCPConn.SetWriteDeadline(c.write.nextCheck()); err != nil {
			return written, err
		}
	}
}
