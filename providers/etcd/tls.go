package etcd

import (
	"context"
	"crypto/tls"
	"net"

	"google.golang.org/grpc/credentials"
)

// namedCredentials demand the same name of every server's certificate. gRPC by
// itself demands the host of the endpoint, whatever a tls.Config says.
type namedCredentials struct {
	credentials.TransportCredentials
	name string
}

func newNamedCredentials(c *tls.Config) credentials.TransportCredentials {
	return namedCredentials{credentials.NewTLS(c), c.ServerName}
}

// ClientHandshake implements [credentials.TransportCredentials].
func (c namedCredentials) ClientHandshake(ctx context.Context, _ string, conn net.Conn) (net.Conn, credentials.AuthInfo, error) {
	return c.TransportCredentials.ClientHandshake(ctx, c.name, conn)
}

// Clone implements [credentials.TransportCredentials].
func (c namedCredentials) Clone() credentials.TransportCredentials {
	return namedCredentials{c.TransportCredentials.Clone(), c.name}
}
