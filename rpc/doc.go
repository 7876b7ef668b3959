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
// The name that a client dials ("greeter") is the name of a set of servers, like
// a host name. It is not the name of a protobuf service, and one server may have
// several protobuf services. Several servers may serve one name, in any process
// that reaches the backend: calls are spread over them where the provider claims
// [LoadBalance].
//
// A provider is one of two things. A carrier moves the calls through its backend,
// as memory does. A directory, which claims [Directory], keeps the addresses of
// the servers, and calls are plain gRPC between the processes: see "Directories".
// The same program works over both.
//
// Programs without protobuf use [Handle] and [Call]: Go values, as JSON.
//
// # What is as in gRPC
//
//   - The four kinds of call. Messages arrive once and in order.
//
//   - The deadline and the cancellation of the caller's context reach the context
//     of the handler. Its values do not.
//
//   - Status: code, message and details. An error of a handler that is no status
//     becomes Unknown; an error of a context becomes Canceled or
//     DeadlineExceeded.
//
//   - Metadata: headers and trailers, several values under one name in their
//     order, any bytes under a name that ends in "-bin". Names that gRPC reserves
//     (content-type, grpc-status, names with a colon…) are dropped silently; bad
//     names and values fail the call with Internal.
//
//   - SendMsg after CloseSend is an Internal error. After the end of the call,
//     SendMsg returns io.EOF, and RecvMsg the status.
//
//   - A receiver refuses messages longer than 4 MiB unless it sets another limit
//     (grpc.MaxCallRecvMsgSize, [MaxRecvMsgSize]).
//
//   - An unknown service or method is Unimplemented.
//
//   - grpc.SetHeader, grpc.SendHeader, grpc.SetTrailer, grpc.Method and
//     peer.FromContext work in handlers.
//
//   - Compressors and codecs are the ones that are registered with
//     google.golang.org/grpc/encoding. UseCompressor, CallContentSubtype and
//     ForceCodec choose them; messages are protobuf unless a call says otherwise.
//     The codec "json" is always registered. The server replies in the codec and
//     with the compression of the request.
//
//   - WaitForReady(true) waits for a server. Without it, a call without a server
//     fails with Unavailable, at once where the provider claims
//     [FastNoResponder].
//
//   - The reflection and the health service work on a [Server].
//
// # What differs
//
//   - A panic in a handler is logged with its stack, and the caller gets
//     Internal. The server continues.
//
// And only over a carrier:
//
//   - There is no connection: Dial sends nothing. Instead of gRPC's CONNECTING
//     state, calls wait for a server during the 300 ms after Dial, because
//     another goroutine may be about to serve. A call is sent once and never
//     repeated, with one exception: a call that waits for a server is opened
//     again as long as no server has seen it.
//   - These call options have an effect: Header, Trailer, Peer, OnFinish,
//     MaxCallRecvMsgSize, MaxCallSendMsgSize, StaticMethod, PerRPCCredentials and
//     the options above. CallAuthority, and options that this package does not
//     know, fail the call with Unimplemented; the error names the option.
//   - Credentials of a call that require transport security are refused with
//     Unauthenticated: the URL of the provider decides how it is connected.
//   - A client interceptor gets a *grpc.ClientConn of which only Target is valid:
//     calls on it fail.
//
// # Directories
//
// A server listens at 127.0.0.1 and a free port, or where [ListenAt] says. It
// registers this address under a lease, or the address that [Advertise] gives. A
// client watches the addresses, connects to all of them, and spreads its calls
// with gRPC's round_robin, or as [WithServiceConfig] says: the service config can
// set retries, time limits, and least_request_experimental, with
// google.golang.org/grpc/balancer/leastrequest imported. Servers whose gRPC
// health service says that they do not serve get no calls; a server without that
// service gets one that says that it serves. A peer that does not answer for 13
// seconds counts as lost.
//
// [Server.Close] removes the server from the directory before it refuses calls, and
// clients move to other servers without a failed call. When a server is killed,
// the calls that it was serving are lost; clients notice the broken connections,
// even if the directory still has the address. While the backend of the directory
// is unavailable, clients continue to call the servers that they know. When the
// provider is closed, its servers stop and its connections close.
//
// Connections are not encrypted, and peers are not authenticated, unless
// [WithTLS] is given.
//
// # Flow control
//
// The amount of unread data is bounded. SendMsg blocks while the bound is
// reached, until its context ends. Over a directory the window of HTTP/2 is 1 MiB
// in each direction of each call. Over a carrier it is 256 KiB and one message,
// for both ends together; a message counts its bytes and 64 more.
//
// # Speed
//
// docs/performance.md compares unary calls with grpc-go and with bare request and
// reply over NATS. Over a carrier in the same process, a unary call in protobuf
// without compression is passed to its server without frames. Streams and all
// other calls are frames. A call over NATS is two messages, or fewer where
// concurrent calls share them.
//
// # Errors
//
// Dial, NewServer and the methods of Server return *fairlead.Error. Calls return
// gRPC status errors. A server that could not be reached, or that was lost, is
// Unavailable, whatever code the provider's own error had. Package fairlead lists
// the other codes of providers.
//
// # Concurrency
//
// All methods of [Conn] and [Server] may be called concurrently. For streams the
// rules of gRPC apply: one goroutine sends, another one may receive.
package rpc
