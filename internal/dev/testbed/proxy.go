package testbed

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// TCPProxy forwards connections between clients and a server, and breaks them on
// demand. All methods may be called from any goroutine.
//
// It is not a library, because the libraries handle the directions of a
// connection separately, and Trap needs both.
type TCPProxy struct {
	target  string
	port    *reservedPort
	latency atomic.Int64
	tasks   sync.WaitGroup

	mu       sync.Mutex
	listener net.Listener // nil while connections are refused
	conns    map[*proxied]struct{}
	trap     *Trap
	closed   bool
}

// StartProxy listens on a free loopback port and forwards connections to
// target, a "host:port". While nothing listens there, connections are let in and
// reset immediately. The caller must Close the proxy.
func StartProxy(ctx context.Context, target string) (*TCPProxy, error) {
	if _, _, err := net.SplitHostPort(target); err != nil {
		return nil, fmt.Errorf("testbed: proxy target: %w", err)
	}
	port, err := reservePort()
	if err != nil {
		return nil, err
	}
	p := &TCPProxy{target: target, port: port, conns: map[*proxied]struct{}{}}
	if err := p.Accept(ctx); err != nil {
		return nil, errors.Join(err, p.Close())
	}
	return p, nil
}

// Addr is the address that clients connect to, "127.0.0.1:PORT".
func (p *TCPProxy) Addr() string { return p.port.addr() }

// Refuse lets new connections fail with "connection refused". Open ones stay.
func (p *TCPProxy) Refuse() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.listener == nil {
		return nil
	}
	err := p.listener.Close()
	p.listener = nil
	return err
}

// Accept ends the effect of Refuse: new connections are accepted again.
func (p *TCPProxy) Accept(ctx context.Context) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return errors.New("testbed: the proxy is closed")
	}
	if p.listener != nil {
		return nil
	}
	var config net.ListenConfig
	l, err := config.Listen(ctx, "tcp", p.Addr())
	if err != nil {
		return fmt.Errorf("testbed: proxy: %w", err)
	}
	p.listener = l
	p.tasks.Go(func() { p.serve(l) })
	return nil
}

// Cut resets all open connections. New ones are let in.
func (p *TCPProxy) Cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for c := range p.conns {
		c.cut()
	}
}

// Connections is the number of open connections.
func (p *TCPProxy) Connections() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.conns)
}

// SetLatency delays everything that the server sends from now on. Pipelined
// replies are delayed together, not one after the other.
func (p *TCPProxy) SetLatency(d time.Duration) { p.latency.Store(int64(d)) }

// Close cuts all connections and returns when no goroutine of the proxy is
// left.
func (p *TCPProxy) Close() error {
	p.mu.Lock()
	first := !p.closed
	p.closed = true
	p.mu.Unlock()
	err := p.Refuse()
	p.Cut()
	p.tasks.Wait()
	if first {
		err = errors.Join(err, p.port.release())
	}
	return err
}

func (p *TCPProxy) serve(l net.Listener) {
	for {
		client, err := l.Accept()
		if err != nil {
			return // closed by Refuse
		}
		p.tasks.Go(func() { p.connect(client.(*net.TCPConn)) })
	}
}

// connect joins client to the server until one of them ends.
func (p *TCPProxy) connect(client *net.TCPConn) {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	c := &proxied{proxy: p, client: client, ctx: ctx, cancel: cancel}
	if !p.add(c) {
		c.cut()
		return
	}
	defer p.remove(c)
	defer c.cut()
	var d net.Dialer
	conn, err := d.DialContext(ctx, "tcp", p.target)
	if err != nil {
		return
	}
	c.run(conn.(*net.TCPConn))
}

func (p *TCPProxy) add(c *proxied) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.closed {
		p.conns[c] = struct{}{}
	}
	return !p.closed
}

func (p *TCPProxy) remove(c *proxied) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.conns, c)
}

// Trap waits for one request, lets the server carry it out, and keeps the reply
// from the client.
type Trap struct {
	match  []byte
	sprung chan struct{}
}

// Sprung is closed when the server has replied and the connection was cut.
func (t *Trap) Sprung() <-chan struct{} { return t.sprung }

// SwallowReply arms a trap for the first request that contains match: it
// reaches the server, the reply is thrown away, and the client's connection is
// reset. The client cannot know the outcome of its request.
//
// The proxy knows no protocol: the server's next data on the connection
// that carried match counts as the reply. So match should not occur in a greeting
// or heartbeat; use a key or a value. Before the client is
// cut off, the proxy closes its sending side to the server, and reads until the server
// closes the connection. A server that closes only after it has executed all
// requests, such as Redis, has then executed everything that was forwarded.
//
// A new trap replaces one that has not caught anything yet.
func (p *TCPProxy) SwallowReply(match []byte) *Trap {
	t := &Trap{match: bytes.Clone(match), sprung: make(chan struct{})}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.trap = t
	return t
}

func (p *TCPProxy) armed() *Trap {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.trap
}

// take disarms t, and returns false if it was disarmed already.
func (p *TCPProxy) take(t *Trap) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.trap != t {
		return false
	}
	p.trap = nil
	return true
}
