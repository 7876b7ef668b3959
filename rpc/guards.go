package rpc

import (
	"context"
	"log/slog"
	"runtime/debug"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"fairlead.dev/internal/handle"
)

// guards stand between gRPC's own server and what the program gave it.
type guards struct{ handle *handle.Handle }

func (g guards) unary(ctx context.Context, req any, info *grpc.UnaryServerInfo, next grpc.UnaryHandler) (reply any, err error) {
	if err := g.handle.Ready(); err != nil {
		return nil, toRPCError(err)
	}
	defer catch(ctx, info.FullMethod, &err)
	return next(ctx, req)
}

func (g guards) stream(impl any, stream grpc.ServerStream, info *grpc.StreamServerInfo, next grpc.StreamHandler) (err error) {
	if err := g.handle.Ready(); err != nil {
		return toRPCError(err)
	}
	defer catch(stream.Context(), info.FullMethod, &err)
	return next(impl, stream)
}

// catch is deferred: it makes a panic of a handler the outcome of its call.
func catch(ctx context.Context, method string, err *error) {
	if cause := recover(); cause != nil {
		slog.ErrorContext(ctx, "rpc: a handler panicked", "method", method, "panic", cause, "stack", string(debug.Stack()))
		*err = status.Errorf(codes.Internal, "the handler of %s panicked", method)
	}
}
