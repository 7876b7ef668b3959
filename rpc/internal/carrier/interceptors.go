package carrier

import (
	"context"
	"errors"
	"net"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
)

// The chain functions combine interceptors into one, the first of them outermost.
// They return nil if there are none.

func chainUnaryClient(in []grpc.UnaryClientInterceptor) grpc.UnaryClientInterceptor {
	if len(in) < 2 {
		return single(in)
	}
	outer, inner := in[0], chainUnaryClient(in[1:])
	return func(ctx context.Context, method string, req, reply any, cc *grpc.ClientConn, next grpc.UnaryInvoker, opts ...grpc.CallOption) error {
		return outer(ctx, method, req, reply, cc, func(ctx context.Context, method string, req, reply any, cc *grpc.ClientConn, opts ...grpc.CallOption) error {
			return inner(ctx, method, req, reply, cc, next, opts...)
		}, opts...)
	}
}

func chainStreamClient(in []grpc.StreamClientInterceptor) grpc.StreamClientInterceptor {
	if len(in) < 2 {
		return single(in)
	}
	outer, inner := in[0], chainStreamClient(in[1:])
	return func(ctx context.Context, desc *grpc.StreamDesc, cc *grpc.ClientConn, method string, next grpc.Streamer, opts ...grpc.CallOption) (grpc.ClientStream, error) {
		return outer(ctx, desc, cc, method, func(ctx context.Context, desc *grpc.StreamDesc, cc *grpc.ClientConn, method string, opts ...grpc.CallOption) (grpc.ClientStream, error) {
			return inner(ctx, desc, cc, method, next, opts...)
		}, opts...)
	}
}

func chainUnaryServer(in []grpc.UnaryServerInterceptor) grpc.UnaryServerInterceptor {
	if len(in) < 2 {
		return single(in)
	}
	outer, inner := in[0], chainUnaryServer(in[1:])
	return func(ctx context.Context, req any, info *grpc.UnaryServerInfo, next grpc.UnaryHandler) (any, error) {
		return outer(ctx, req, info, func(ctx context.Context, req any) (any, error) {
			return inner(ctx, req, info, next)
		})
	}
}

func chainStreamServer(in []grpc.StreamServerInterceptor) grpc.StreamServerInterceptor {
	if len(in) < 2 {
		return single(in)
	}
	outer, inner := in[0], chainStreamServer(in[1:])
	return func(srv any, stream grpc.ServerStream, info *grpc.StreamServerInfo, next grpc.StreamHandler) error {
		return outer(srv, stream, info, func(srv any, stream grpc.ServerStream) error {
			return inner(srv, stream, info, next)
		})
	}
}

// single returns the only interceptor, or nil.
func single[T any](in []T) T {
	if len(in) == 0 {
		var zero T
		return zero
	}
	return in[0]
}

// newPlaceholderConn returns the *grpc.ClientConn that client interceptors get,
// because their type requires one. Only its Target is valid; it cannot connect.
func newPlaceholderConn(service string) (*grpc.ClientConn, error) {
	refuse := func(context.Context, string) (net.Conn, error) {
		return nil, errors.New("the *grpc.ClientConn of an interceptor has only a Target and makes no calls; call the invoker or streamer")
	}
	return grpc.NewClient("passthrough:///"+service,
		grpc.WithTransportCredentials(insecure.NewCredentials()), grpc.WithContextDialer(refuse))
}
