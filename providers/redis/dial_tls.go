package redis

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"net"
	"time"

	"fairlead.dev"
)

// tlsPatience is how long a TLS handshake may take before the provider asks whether
// the server speaks TLS at all: a Redis server without TLS waits for the rest of
// what it takes for a command.
const tlsPatience = 250 * time.Millisecond

var errNoTLS = errors.New("the server does not speak TLS on this port; use redis:// instead of rediss://, or the server's tls-port")

// withPlainCheck returns a context that ends with errNoTLS if the handshake takes
// long and the server answers without TLS. The caller must call the function.
func withPlainCheck(ctx context.Context, network, addr string) (context.Context, func()) {
	ctx, cancel := context.WithCancelCause(ctx)
	timer := time.AfterFunc(tlsPatience, func() {
		if answersPlain(ctx, network, addr) {
			cancel(errNoTLS)
		}
	})
	return ctx, func() {
		timer.Stop()
		cancel(nil)
	}
}

// answersPlain reports whether a server answers a command that is sent without TLS.
func answersPlain(ctx context.Context, network, addr string) bool {
	c, err := new(net.Dialer).DialContext(ctx, network, addr)
	if err != nil {
		return false
	}
	defer context.AfterFunc(ctx, func() { _ = c.Close() })()
	defer func() { _ = c.Close() }()
	if _, err := c.Write([]byte("PING\r\n")); err != nil {
		return false
	}
	first, err := bufio.NewReader(c).ReadByte()
	return err == nil && (first == '+' || first == '-')
}

// speaksTLS reports whether a server answers a TLS handshake. Nothing is sent over
// the connection, so that the server's certificate does not matter.
func speaksTLS(ctx context.Context, addr string, limit time.Duration) bool {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	c, err := new(net.Dialer).DialContext(ctx, "tcp", addr)
	if err != nil {
		return false
	}
	defer func() { _ = c.Close() }()
	return tls.Client(c, &tls.Config{InsecureSkipVerify: true}).HandshakeContext(ctx) == nil
}

// explainTLS returns why the server has closed a connection after the handshake:
// since TLS 1.3 it refuses a client's certificate only then. It returns err if it
// does not find out.
func (c config) explainTLS(ctx context.Context, err error) error {
	conn, dialErr := c.dial(ctx, "tcp", c.hosts[0])
	if dialErr != nil {
		return mapErr(dialErr, false)
	}
	defer func() { _ = conn.Close() }()
	_ = conn.SetReadDeadline(time.Now().Add(tlsPatience)) // a server without an objection says nothing
	_, readErr := conn.Read(make([]byte, 1))
	var alert *net.OpError
	if errors.As(readErr, &alert) && alert.Op == "remote error" {
		return fairlead.Errorf(fairlead.Unavailable, "the server refuses the TLS connection (%w); it may demand a client certificate: set \"cert-file\" and \"key-file\"", readErr)
	}
	return err
}
