package directory

import (
	"context"

	"google.golang.org/grpc"

	"fairlead.dev/internal/handle"
	"fairlead.dev/rpc/internal/transport"
)

// clientChecks are the innermost interceptors of a client: they fail calls while
// a requirement is not met.
type clientChecks struct{ handle *handle.Handle }

func (c clientChecks) interceptUnary(ctx context.Context, method string, req, reply any, cc *grpc.ClientConn, next grpc.UnaryInvoker, opts ...grpc.CallOption) error {
	if err := c.handle.Requirements.Check(); err != nil {
		return transport.StatusError(err)
	}
	return next(ctx, method, req, reply, cc, opts...)
}

func (c clientChecks) interceptStream(ctx context.Context, desc *grpc.StreamDesc, cc *grpc.ClientConn, method string, next grpc.Streamer, opts ...grpc.CallOption) (grpc.ClientStream, error) {
	if err := c.handle.Requirements.Check(); err != nil {
		return nil, transport.StatusError(err)
	}
	return next(ctx, desc, cc, method, opts...)
}

// serverChecks are the outermost interceptors of a server: they fail calls while
// a requirement is not met, and recover from panics.
type serverChecks struct{ handle *handle.Handle }

func (c serverChecks) interceptUnary(ctx context.Context, req any, info *grpc.UnaryServerInfo, next grpc.UnaryHandler) (reply any, err error) {
	if err := c.handle.Requirements.Check(); err != nil {
		return nil, transport.StatusError(err)
	}
	defer transport.RecoverPanic(ctx, info.FullMethod, &err)
	return next(ctx, req)
}

func (c serverChecks) interceptStream(impl any, stream grpc.ServerStream, info *grpc.StreamServerInfo, next grpc.StreamHandler) (err error) {
	if err := c.handle.Requirements.Check(); err != nil {
		return transport.StatusError(err)
	}
	defer transport.RecoverPanic(stream.Context(), info.FullMethod, &err)
	return next(impl, stream)
}
