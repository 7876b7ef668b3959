package rpc

import (
	"context"
	"sync"
	"time"

	"google.golang.org/grpc"
	_ "google.golang.org/grpc/health" // clients heed the health of servers
	"google.golang.org/grpc/keepalive"

	"fairlead.dev"
	"fairlead.dev/internal/handle"
	"fairlead.dev/rpc/driver"
)

// A peer that does not answer for pingAfter and pingWait together is taken for
// lost.
const (
	pingAfter = 10 * time.Second
	pingWait  = 3 * time.Second
)

// The windows of HTTP/2. They are fixed since those that gRPC finds by itself
// grow to 16 MiB for each direction of each call when a reader is slow.
const (
	streamWindow = 1 << 20
	connWindow   = 8 << 20
)

// directConn is a gRPC connection to the endpoints of a directory.
type directConn struct {
	*grpc.ClientConn
	handle *handle.Handle
	close  func() error
}

func newDirectConn(h *handle.Handle, d driver.Directory, service string, cfg dialConfig) (*directConn, error) {
	c := &directConn{handle: h}
	c.close = sync.OnceValue(func() error {
		h.Close()
		return c.ClientConn.Close()
	})
	made := make(chan struct{}) // the resolver runs later, and not before the first call
	defer close(made)
	config, err := cfg.direct.grpcServiceConfig()
	if err != nil {
		return nil, fairlead.Errorf(fairlead.Invalid, "WithServiceConfig: %w", err)
	}
	resolver := &directoryResolver{directory: d, service: service, dialed: time.Now(), closed: func() {
		<-made
		_ = c.close()
	}}
	c.ClientConn, err = grpc.NewClient(directoryScheme+":///"+service,
		grpc.WithResolvers(resolver),
		grpc.WithContextDialer(dialAddress),
		grpc.WithTransportCredentials(cfg.direct.credentials()),
		grpc.WithDefaultServiceConfig(config),
		grpc.WithDefaultCallOptions(cfg.calls...),
		grpc.WithStaticStreamWindowSize(streamWindow), grpc.WithStaticConnWindowSize(connWindow),
		grpc.WithKeepaliveParams(keepalive.ClientParameters{Time: pingAfter, Timeout: pingWait}),
		grpc.WithChainUnaryInterceptor(append(cfg.unary, c.readyUnary)...),
		grpc.WithChainStreamInterceptor(append(cfg.stream, c.readyStream)...))
	if err != nil {
		return nil, fairlead.Errorf(fairlead.Invalid, "%w", err)
	}
	return c, nil
}

// Close implements connection.
func (c *directConn) Close() error { return c.close() }

// readyUnary fails calls while a requirement is not met.
func (c *directConn) readyUnary(ctx context.Context, method string, req, reply any, cc *grpc.ClientConn, next grpc.UnaryInvoker, opts ...grpc.CallOption) error {
	if err := c.handle.Ready(); err != nil {
		return toRPCError(err)
	}
	return next(ctx, method, req, reply, cc, opts...)
}

// readyStream is readyUnary for streams.
func (c *directConn) readyStream(ctx context.Context, desc *grpc.StreamDesc, cc *grpc.ClientConn, method string, next grpc.Streamer, opts ...grpc.CallOption) (grpc.ClientStream, error) {
	if err := c.handle.Ready(); err != nil {
		return nil, toRPCError(err)
	}
	return next(ctx, desc, cc, method, opts...)
}
