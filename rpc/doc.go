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
// A provider is one of two things. A carrier takes the calls through its
// backend, as memory does. A directory, which claims [Directory], keeps the
// addresses of the servers, and calls are plain gRPC between the processes:
// see "Directories". The same program works over both.
//
// Programs without protobuf use [Handle] and [Call]: Go values, as JSON.
//
// # What is as in gRPC
//
//   - The four kinds of call. Messages arrive once and in order.
//
//   - The deadline and the cancellation of the caller's context reach the
//     context of the handler. Its values do not.
//
//   - Status: code, message and details. An error of a handler that is no
//     status becomes Unknown, a context's error Canceled or DeadlineExceeded.
//
//   - Metadata: headers and trailers, several values under one name in their
//     order, any bytes under a name that ends in "-bin". Names that gRPC keeps
//     to itself (content-type, grpc-status, names with a colon…) are dropped
//     silently; bad names and values fail the call with Internal.
//
//   - SendMsg after CloseSend is an Internal error; SendMsg after the end of
//     the call returns io.EOF, and RecvMsg the status.
//
//   - Messages longer than 4 MiB are refused by their receiver unless it sets
//     another limit (grpc.MaxCallRecvMsgSize, [MaxRecvMsgSize]).
//
//   - An unknown service or method is Unimplemented.
//
//   - grpc.SetHeader, grpc.SendHeader, grpc.SetTrailer, grpc.Method and
//     peer.FromContext work in handlers.
//
//   - Compressors and codecs are those registered with google.golang.org/grpc/encoding,
//     chosen by UseCompressor, CallContentSubtype and ForceCodec; messages are
//     protobuf unless a call says otherwise. The codec "json" is always there.
//     The server answers in the codec and the compression of the request.
//
//   - WaitForReady(true) waits for a server; without it a call that nobody
//     serves fails with Unavailable, at once where the provider claims
//     [FastNoResponder].
//
//   - The reflection and the health service work on a [Server].
//
// # What differs
//
//   - A panic in a handler is logged with its stack, and the caller gets
//     Internal. The server goes on.
//
// Over a carrier besides:
//
//   - There is no connection: Dial sends nothing. What stands for connecting is
//     the time after Dial, 300 ms in which calls wait for a server: one that
//     runs in another goroutine may just be about to serve. A call is sent once; nothing
//     here repeats it, but that WaitForReady(true) opens it again while
//     there was nobody to take it.
//   - The call option CallAuthority, and options that this package does not
//     know, fail the call with Unimplemented, which names the option:
//     Header, Trailer, Peer, OnFinish, MaxCallRecvMsgSize,
//     MaxCallSendMsgSize, StaticMethod and those above are heeded.
//   - Credentials of a call that want a secure transport are refused with
//     Unauthenticated: how the provider is connected is the affair of its URL.
//   - A client interceptor gets a *grpc.ClientConn that serves for its Target
//     alone: calls on it fail.
//
// # Directories
//
// A server listens at 127.0.0.1 and a free port unless [ListenAt] names
// another place, and registers it, or what [Advertise] says, under a lease. A
// client watches the addresses, connects to all of them, and spreads its
// calls by gRPC's round_robin, or as [WithServiceConfig] says:
// least_request_experimental, with google.golang.org/grpc/balancer/leastrequest
// imported, retries, time
// limits. Servers that say through gRPC's health service that they do not
// serve get no calls; a server without that service gets one that says it
// serves. A peer that does not answer for 13 seconds is taken for lost.
//
// GracefulStop takes the server out of the directory before it refuses calls,
// and clients move on without a failed call. When a server is killed, the
// calls that it had are lost; clients notice the broken connections, whatever
// the directory still says. While the backend of the directory is away,
// calls go on between those that know each other. When the provider is
// closed, its servers stop and its connections close.
//
// Connections are not encrypted, and nobody is asked who he is, unless
// [WithTLS] says so.
//
// # Flow control
//
// What a reader has not read is bounded, and SendMsg blocks meanwhile, until
// its context ends. Over a directory the window of HTTP/2 is 1 MiB in each
// direction of each call. Over a carrier it is 256 KiB and one message, at both
// ends together; a message counts its bytes and 64 more.
//
// # Speed
//
// Unary calls of 256 bytes each way, on two cores that others used too, as the
// ratio of our rate to the other's, measured in turns; above 1 we are faster:
//
//	                                               1 caller   64 callers
//	memory / grpchan's inprocgrpc                  1.2        1.2
//	memory / grpc-go over bufconn                  7          5
//	frames of a carrier in memory / bufconn        3.2        2.1
//	a directory / grpc-go over TCP                 1.0        1.0
//	NATS / request and reply of nats.go            0.8        0.7
//	NATS / grpc-go over TCP                        0.3        1.0
//
// The benchmarks are BenchmarkRatio here and BenchmarkInProcess in
// internal/dev/peerbench. A call over NATS is two messages, as a bare request is, or
// less where concurrent calls share them; the rest is gRPC: metadata, deadlines,
// status. At 64 callers a fifth of our time is the collector's, in a heap of a few
// megabytes.
// Streams, and unary calls over memory that are compressed or in another codec
// than protobuf, are frames.
//
// # Errors
//
// Dial, NewServer and the methods of Server return *fairlead.Error. Calls
// return gRPC status errors: Unavailable where a server could not be reached
// or was lost, whatever the provider's own error was called; see package
// providers for what else there is.
//
// # Concurrency
//
// All methods of [Conn] and [Server] may be called concurrently. For streams
// the rules of gRPC hold: one goroutine sends, another one may receive.
package rpc
