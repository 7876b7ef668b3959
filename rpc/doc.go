// Package rpc makes gRPC of any provider: code that protoc-gen-go-grpc
// generated works unchanged over it, at the client and at the server.
//
//	srv, err := rpc.NewServer(ctx, p, "greeter")
//	pb.RegisterGreeterServer(srv, impl)
//	go srv.Serve(ctx)
//
//	conn, err := rpc.Dial(ctx, p, "greeter")
//	reply, err := pb.NewGreeterClient(conn).SayHello(ctx, request)
//
// The name that is dialled ("greeter") is that of a set of servers, as a host
// name is elsewhere; it is not the name of a protobuf service, and one server
// may have several of those. Several servers may serve one name, in any
// process that reaches the backend: calls are spread over them where the
// provider claims [LoadBalance].
//
// # What is as in gRPC
//
//   - The four kinds of call. Messages arrive once and in order.
//   - The deadline and the cancellation of the caller's context reach the
//     context of the handler. Its values do not.
//   - Status: code, message and details. An error of a handler that is no
//     status becomes Unknown, a context's error Canceled or DeadlineExceeded.
//   - Metadata: headers and trailers, several values under one name in their
//     order, any bytes under a name that ends in "-bin". Names that gRPC keeps
//     to itself (content-type, grpc-status, names with a colon…) are dropped
//     silently; bad names and values fail the call with Internal.
//   - SendMsg after CloseSend is an Internal error; SendMsg after the end of
//     the call returns io.EOF, and RecvMsg the status.
//   - Messages longer than 4 MiB are refused by their receiver unless it sets
//     another limit (grpc.MaxCallRecvMsgSize, [MaxRecvMsgSize]).
//   - An unknown service or method is Unimplemented.
//   - grpc.SetHeader, grpc.SendHeader, grpc.SetTrailer, grpc.Method and
//     peer.FromContext work in handlers.
//
// # What differs
//
//   - There is no connection: Dial sends nothing, and a call that nobody
//     serves fails with Unavailable at once where the provider claims
//     [FastNoResponder]. A call is sent once; nothing here repeats it.
//   - A panic in a handler is logged with its stack, and the caller gets
//     Internal. The server goes on.
//   - Call options that are heeded: Header, Trailer, Peer, OnFinish,
//     MaxCallRecvMsgSize, MaxCallSendMsgSize, WaitForReady(false),
//     StaticMethod. A call with any other option (codecs, compressors,
//     credentials, WaitForReady(true)) fails with Unimplemented, which names
//     the option.
//   - Messages are encoded as protobuf.
//   - A client interceptor gets a *grpc.ClientConn that serves for its Target
//     alone: calls on it fail.
//
// # Flow control
//
// What a reader has not read is bounded: 256 KiB and one message in each
// direction of each call, at both ends together. SendMsg blocks meanwhile,
// until its context ends. A message counts its bytes and 64 more.
//
// # Errors
//
// Dial, NewServer and the methods of Server return *providers.Error. Calls
// return gRPC status errors: Unavailable where a server could not be reached
// or was lost, whatever the provider's own error was called; see package
// providers for what else there is.
//
// # Concurrency
//
// All methods of [Conn] and [Server] may be called concurrently. For streams
// the rules of gRPC hold: one goroutine sends, another one may receive.
package rpc
