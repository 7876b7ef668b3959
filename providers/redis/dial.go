package redis

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"time"
)

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
	return c.startTLS(ctx, network, addr, outer)
}

// startTLS returns a TLS connection over inner.
func (c config) startTLS(ctx context.Context, network, addr string, inner net.Conn) (net.Conn, error) {
	t := tls.Client(inner, c.tlsFor(addr))
	ctx, stop := withPlainCheck(ctx, network, addr)
	defer stop()
	if err := t.HandshakeContext(ctx); err != nil {
		_ = inner.Close() // the handshake's error is the reason
		if cause := context.Cause(ctx); errors.Is(cause, errNoTLS) || isPlainAnswer(err) {
			err = errNoTLS
		}
		return nil, &net.OpError{Op: "dial", Net: network, Addr: inner.RemoteAddr(), Err: err}
	}
	return t, nil
}

// isPlainAnswer reports whether a handshake has failed because the server answered
// without TLS.
func isPlainAnswer(err error) bool {
	var record tls.RecordHeaderError
	return errors.As(err, &record)
}

// tlsFor returns the TLS settings for a server. Without another name in the
// settings, the certificate must name the host of addr.
func (c config) tlsFor(addr string) *tls.Config {
	if c.tls.ServerName != "" {
		return c.tls
	}
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		host = addr
	}
	settings := c.tls.Clone()
	settings.ServerName = host
	return settings
}
