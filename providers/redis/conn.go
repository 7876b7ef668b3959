package redis

import (
	"context"
	"crypto/tls"
	"net"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// go-redis notices the end of a context while it waits for a connection, and a
// context's deadline while it waits for an answer, but no cancellation. To end
// the wait, one has to know on which connection the call is, which go-redis
// does not tell. Another goroutine for each call would cost a lone caller a
// quarter of its speed.
//
// So a call carries its name in its deadline: go-redis hands the deadline of
// the context to the connection as it is, and its time zone is one that no
// other call has.

// flight is the context of one call, and knows the connection that it is on.
type flight struct {
	context.Context
	deadline time.Time
	zone     *time.Location
	stop     func() bool

	conn atomic.Pointer[conn]
}

var flights sync.Map // *time.Location to *flight, of the calls under way

// takeOff begins a call, which lasts for limit at most. The caller must land it.
func takeOff(ctx context.Context, limit time.Duration) *flight {
	f := &flight{Context: ctx, zone: new(time.Location), deadline: time.Now().Add(limit)}
	if d, ok := ctx.Deadline(); ok && d.Before(f.deadline) {
		f.deadline = d
	}
	f.deadline = f.deadline.In(f.zone)
	flights.Store(f.zone, f)
	if ctx.Done() != nil {
		f.stop = context.AfterFunc(ctx, f.cancel)
	}
	return f
}

// Deadline implements context.Context.
func (f *flight) Deadline() (time.Time, bool) { return f.deadline, true }

func (f *flight) land() {
	if f.stop != nil {
		f.stop()
	}
	flights.Delete(f.zone)
}

// cancel ends what waits on the connection.
func (f *flight) cancel() {
	if c := f.conn.Load(); c != nil {
		c.interrupt(f)
	}
}

var longAgo = time.Unix(1, 0)

// conn is a connection to a server that knows the call that it carries.
type conn struct {
	net.Conn
	writeTimeout time.Duration

	mu     sync.Mutex
	flight *flight // nil for a call that is not ours
}

// interrupt ends what waits, unless the connection carries another call by now.
func (c *conn) interrupt(f *flight) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.flight == f {
		_ = c.Conn.SetDeadline(longAgo) // fails on a closed connection alone
	}
}

// carry notes the call that a deadline names.
func (c *conn) carry(deadline time.Time) *flight {
	found, _ := flights.Load(deadline.Location())
	f, _ := found.(*flight)
	c.mu.Lock()
	c.flight = f
	c.mu.Unlock()
	if f != nil {
		f.conn.Store(c)
	}
	return f
}

// SetReadDeadline implements net.Conn.
func (c *conn) SetReadDeadline(t time.Time) error {
	return c.set(t, t, c.Conn.SetReadDeadline)
}

// SetWriteDeadline implements net.Conn.
func (c *conn) SetWriteDeadline(t time.Time) error {
	limit := time.Now().Add(c.writeTimeout)
	if !t.IsZero() && t.Before(limit) {
		limit = t
	}
	return c.set(t, limit, c.Conn.SetWriteDeadline)
}

// set sets a deadline for the call that named names. The call may end before it
// is noted here, or before the deadline is set: then nobody else ends it.
func (c *conn) set(named, deadline time.Time, set func(time.Time) error) error {
	f := c.carry(named)
	err := set(deadline)
	if err == nil && f != nil && f.Err() != nil {
		err = set(longAgo)
	}
	return err
}

// plainConn is a conn without TLS: go-redis looks at its socket to see whether
// the server has hung up, before it sends a call.
type plainConn struct {
	*conn
	syscall.Conn
}

// dial connects for go-redis.
func (c config) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	d := &net.Dialer{Timeout: c.dialTimeout, KeepAliveConfig: net.KeepAliveConfig{
		Enable: true, Idle: 30 * time.Second, Interval: 5 * time.Second, Count: 3,
	}}
	if c.tls != nil {
		inner, err := (&tls.Dialer{NetDialer: d, Config: c.tls}).DialContext(ctx, network, addr)
		if err != nil {
			return nil, &net.OpError{Op: "dial", Net: network, Err: err}
		}
		return &conn{Conn: inner, writeTimeout: c.writeTimeout}, nil
	}
	inner, err := d.DialContext(ctx, network, addr)
	if err != nil {
		return nil, err
	}
	return plainConn{&conn{Conn: inner, writeTimeout: c.writeTimeout}, inner.(syscall.Conn)}, nil
}
