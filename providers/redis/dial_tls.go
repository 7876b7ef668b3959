package redis

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"net"
	"time"
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
