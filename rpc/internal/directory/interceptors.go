package directory

import (
	"context"
	"log/slog"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"fairlead.dev/internal/contained"
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
// a requirement is not met, and when their handler does not return.
type serverChecks struct{ handle *handle.Handle }

func (c serverChecks) interceptUnary(ctx context.Context, req any, info *grpc.UnaryServerInfo, next grpc.UnaryHandler) (reply any, err error) {
	if err := c.handle.Requirements.Check(); err != nil {
		return nil, transport.StatusError(err)
	}
	err = runHandler(ctx, info.FullMethod, func() (err error) {
		reply, err = next(ctx, req)
		return err
	})
	return reply, err
}

func (c serverChecks) interceptStream(impl any, stream grpc.ServerStream, info *grpc.StreamServerInfo, next grpc.StreamHandler) (err error) {
	if err := c.handle.Requirements.Check(); err != nil {
		return transport.StatusError(err)
	}
	return runHandler(stream.Context(), info.FullMethod, func() error { return next(impl, stream) })
}

// runHandler calls a handler. If it panics, or ends its goroutine (runtime.Goexit), the
// call fails with Internal: grpc-go would leave its client waiting in the second case.
func runHandler(ctx context.Context, method string, handler func() error) error {
	err := contained.Call(func() (err error) {
		defer transport.RecoverPanic(ctx, method, &err)
		return handler()
	})
	if _, exited := err.(*contained.Failure); exited { // not a cause in the handler's own error
		slog.ErrorContext(ctx, "rpc: a handler ended its goroutine", "method", method)
		return status.Errorf(codes.Internal, "the handler of %s ended its goroutine (runtime.Goexit)", method)
	}
	return err
}
