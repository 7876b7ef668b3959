package transport

import (
	"context"
	"log/slog"
	"runtime/debug"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// RecoverPanic turns a panic of a handler into the error of its call, and logs
// it with its stack. It has an effect only if it is deferred directly.
func RecoverPanic(ctx context.Context, method string, err *error) {
	if cause := recover(); cause != nil {
		slog.ErrorContext(ctx, "rpc: a handler panicked", "method", method, "panic", cause, "stack", string(debug.Stack()))
		*err = status.Errorf(codes.Internal, "the handler of %s panicked", method)
	}
}
