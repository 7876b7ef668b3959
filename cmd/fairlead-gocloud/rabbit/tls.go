package rabbit

import (
	"context"
	"crypto/tls"
	"net"
)

// dialTLS connects with TLS.
func (b *broker) dialTLS(ctx context.Context, network, addr string) (net.Conn, error) {
	c, err := dialTCP(ctx, network, addr)
	if err != nil {
		return nil, err
	}
	config := b.tls.Clone()
	if config.ServerName == "" {
		config.ServerName, _, _ = net.SplitHostPort(addr)
	}
	secure := tls.Client(c, config)
	if err := secure.HandshakeContext(ctx); err != nil {
		_ = c.Close()
		return nil, err
	}
	return secure, nil
}
