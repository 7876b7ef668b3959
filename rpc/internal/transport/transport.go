// Package transport is the part that both transports of package rpc share: the
// carrier, which moves the frames of a call through the provider, and the
// directory, which connects to addresses that the provider keeps.
package transport

import (
	"context"
	"time"

	"google.golang.org/grpc"

	"fairlead.dev/internal/handle"
)

// Client makes calls to the servers of one service name.
type Client interface {
	grpc.ClientConnInterface
	Close() error
}

// Server takes calls under one service name. Its methods are specified at
// rpc.Server.
type Server interface {
	grpc.ServiceRegistrar
	Listen(ctx context.Context) error
	Serve(ctx context.Context) error
	GracefulStop(ctx context.Context) error
	Stop()
}

// ClientConfig holds what a client of either transport needs.
type ClientConfig struct {
	Handle             *handle.Handle // the client closes it
	Service            string
	CallOptions        []grpc.CallOption // precede the options of a call
	UnaryInterceptors  []grpc.UnaryClientInterceptor
	StreamInterceptors []grpc.StreamClientInterceptor
}

// ServerConfig holds what a server of either transport needs.
type ServerConfig struct {
	Handle             *handle.Handle // the server closes it
	Service            string
	Services           *Services
	MaxRecvMsgSize     int // bytes
	UnaryInterceptors  []grpc.UnaryServerInterceptor
	StreamInterceptors []grpc.StreamServerInterceptor
}

// DefaultMaxRecvMsgSize is gRPC's own limit for a received message, in bytes.
const DefaultMaxRecvMsgSize = 4 << 20

// ConnectGrace is the time after Dial during which calls wait for a server, as
// calls of gRPC wait while a connection is CONNECTING. A program may therefore
// dial a service that another goroutine of it is about to serve.
const ConnectGrace = 300 * time.Millisecond

// CloseTimeout bounds a close whose own context may have ended.
const CloseTimeout = time.Second

// CloseWithTimeout calls a Close method of a driver with a context that ends
// after CloseTimeout.
func CloseWithTimeout(closeFunc func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(context.Background(), CloseTimeout)
	defer cancel()
	return closeFunc(ctx)
}
