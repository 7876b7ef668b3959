package rpc

import (
	"context"
	"fmt"
	"strings"

	"google.golang.org/grpc"

	"fairlead.dev/rpc/internal/transport"
)

// Handle makes fn the handler of a unary method, "Service/Method", whose request
// and reply are Go values in JSON, for programs without protobuf. Call it before
// Listen and Serve. It panics on a mistake of the program: a call after Listen,
// Serve or Stop, a method that is handled already, a name of another form. Of
// one service, either all methods are registered with Handle or none.
//
// On the wire it is a gRPC call with the content-type application/grpc+json:
// clients in other languages need a JSON codec and no .proto file.
func Handle[Req, Resp any](s *Server, method string, fn func(context.Context, Req) (Resp, error)) {
	service, name, ok := strings.Cut(strings.TrimPrefix(method, "/"), "/")
	if !ok || service == "" || name == "" || strings.Contains(name, "/") || fn == nil {
		panic(fmt.Sprintf("rpc: Handle(%q): the form of a method is Service/Method, and its function is not nil", method))
	}
	s.services.AddMethod(service, grpc.MethodDesc{
		MethodName: name,
		Handler: func(_ any, ctx context.Context, decode func(any) error, in grpc.UnaryServerInterceptor) (any, error) {
			request := new(Req)
			if err := decode(request); err != nil {
				return nil, err
			}
			handle := func(ctx context.Context, request any) (any, error) { return fn(ctx, *request.(*Req)) }
			if in == nil {
				return handle(ctx, request)
			}
			return in(ctx, request, &grpc.UnaryServerInfo{FullMethod: "/" + service + "/" + name}, handle)
		},
	})
}

// Call calls a unary method, "Service/Method", with a request and a reply in
// JSON, as [Handle] serves them. Errors are gRPC status errors; the reply is then
// the zero value.
func Call[Req, Resp any](ctx context.Context, c grpc.ClientConnInterface, method string, request Req, opts ...grpc.CallOption) (Resp, error) {
	var reply Resp
	opts = append([]grpc.CallOption{grpc.CallContentSubtype(transport.JSONSubtype)}, opts...)
	if err := c.Invoke(ctx, "/"+strings.TrimPrefix(method, "/"), request, &reply, opts...); err != nil {
		var zero Resp
		return zero, err
	}
	return reply, nil
}
