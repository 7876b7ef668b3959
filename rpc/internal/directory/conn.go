// Package directory is the transport of package rpc over a provider that keeps
// the addresses of the servers: calls are plain gRPC between the processes. The
// connections, load balancing, health checks and retries are grpc-go's; this
// package resolves a service name to addresses, and registers servers.
package directory

import (
	"sync"
	"time"

	"google.golang.org/grpc"
	_ "google.golang.org/grpc/health" // makes clients check the health of servers
	"google.golang.org/grpc/keepalive"

	"fairlead.dev"
	"fairlead.dev/rpc/driver"
	"fairlead.dev/rpc/internal/transport"
)

var _ transport.Client = (*Conn)(nil)

// A peer that does not answer within keepaliveTime and keepaliveTimeout together
// counts as lost.
const (
	keepaliveTime    = 10 * time.Second
	keepaliveTimeout = 3 * time.Second
)

// The flow-control windows of HTTP/2, in bytes. They are fixed because gRPC's
// own estimate grows to 16 MiB for each direction of each call when a reader is
// slow.
const (
	streamWindow = 1 << 20
	connWindow   = 8 << 20
)

// Conn is a gRPC connection to the endpoints of a directory.
type Conn struct {
	*grpc.ClientConn
	close func() error
}

// NewConn returns a connection. It does not reach the directory before the first
// call.
func NewConn(d driver.Directory, cfg transport.ClientConfig, options Options) (*Conn, error) {
	c := &Conn{}
	c.close = sync.OnceValue(func() error {
		cfg.Handle.Close()
		return c.ClientConn.Close()
	})
	assigned := make(chan struct{}) // closed when ClientConn is set
	defer close(assigned)
	config, err := options.serviceConfigJSON()
	if err != nil {
		return nil, fairlead.Errorf(fairlead.Invalid, "WithServiceConfig: %w", err)
	}
	resolver := &resolverBuilder{directory: d, service: cfg.Service, dialed: time.Now(), onClosed: func() {
		<-assigned
		_ = c.close()
	}}
	checks := clientChecks{cfg.Handle}
	c.ClientConn, err = grpc.NewClient(resolverScheme+":///"+cfg.Service,
		grpc.WithResolvers(resolver),
		grpc.WithContextDialer(dialAddress),
		grpc.WithTransportCredentials(options.credentials()),
		grpc.WithDefaultServiceConfig(config),
		grpc.WithDefaultCallOptions(cfg.CallOptions...),
		grpc.WithStaticStreamWindowSize(streamWindow), grpc.WithStaticConnWindowSize(connWindow),
		grpc.WithKeepaliveParams(keepalive.ClientParameters{Time: keepaliveTime, Timeout: keepaliveTimeout}),
		grpc.WithChainUnaryInterceptor(append(cfg.UnaryInterceptors, checks.interceptUnary)...),
		grpc.WithChainStreamInterceptor(append(cfg.StreamInterceptors, checks.interceptStream)...))
	if err != nil {
		return nil, fairlead.Errorf(fairlead.Invalid, "%w", err)
	}
	return c, nil
}

// Close implements [transport.Client].
func (c *Conn) Close() error { return c.close() }
