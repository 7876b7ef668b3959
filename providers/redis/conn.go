package redis

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"os"
	"sync"
	"syscall"
	"time"
)

// glance is how often a connection that waits looks whether its call is over.
const glance = 100 * time.Millisecond

// wait is until when one direction of a connection waits.
type wait struct {
	mu       sync.Mutex
	flight   *flight // nil for a call that is not ours
	deadline time.Time
}

// begin notes a deadline, and the call that it names, and returns when to look
// at it for the first time.
func (w *wait) begin(named, deadline time.Time) time.Time {
	f := zones.flight(named)
	w.mu.Lock()
	w.flight, w.deadline = f, deadline
	w.mu.Unlock()
	return w.next()
}

func (w *wait) next() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.flight == nil {
		return w.deadline
	}
	if soon := time.Now().Add(glance); soon.Before(w.deadline) {
		return soon
	}
	return w.deadline
}

// goesOn reports whether err is only that it was time to look, and the call is
// not over.
func (w *wait) goesOn(err error) bool {
	if !errors.Is(err, os.ErrDeadlineExceeded) {
		return false
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.flight != nil && !w.flight.over() && time.Now().Before(w.deadline)
}

// conn is a TCP connection that ends its waits with the call that it carries.
type conn struct {
	*net.TCPConn
	writeTimeout time.Duration
	read, write  wait
}

// go-redis looks at the socket of a connection without TLS, to see whether the
// server has hung up, before it sends a call.
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
		if n > 0 || !c.read.goesOn(err) {
			return n, err
		}
		if err := c.TCPConn.SetReadDeadline(c.read.next()); err != nil {
			return 0, err
		}
	}
}

// Write implements net.Conn.
func (c *conn) Write(p []byte) (written int, err error) {
	for {
		n, err := c.TCPConn.Write(p[written:])
		written += n
		if written == len(p) || !c.write.goesOn(err) {
			return written, err
		}
		if err := c.TCPConn.SetWriteDeadline(c.write.next()); err != nil {
			return written, err
		}
	}
}

// dial connects for go-redis.
func (c config) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, c.dialTimeout)
	defer cancel()
	d := &net.Dialer{KeepAliveConfig: net.KeepAliveConfig{
		Enable: true, Idle: 30 * time.Second, Interval: 5 * time.Second, Count: 3,
	}}
	inner, err := d.DialContext(ctx, network, addr)
	if err != nil {
		return nil, err
	}
	outer := &conn{TCPConn: inner.(*net.TCPConn), writeTimeout: c.writeTimeout}
	if c.tls == nil {
		return outer, nil
	}
	return c.secure(ctx, network, addr, outer)
}

// secure makes a TLS connection of inner.
func (c config) secure(ctx context.Context, network, addr string, inner net.Conn) (net.Conn, error) {
	settings := c.tls
	if settings.ServerName == "" {
		host, _, err := net.SplitHostPort(addr)
		if err != nil {
			host = addr
		}
		settings = settings.Clone()
		settings.ServerName = host
	}
	t := tls.Client(inner, settings)
	if err := t.HandshakeContext(ctx); err != nil {
		_ = inner.Close() // the handshake's error is the reason
		return nil, &net.OpError{Op: "dial", Net: network, Addr: inner.RemoteAddr(), Err: err}
	}
	return t, nil
}
