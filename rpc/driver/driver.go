// Package driver is the contract that a provider implements to offer the rpc
// facet. Programs use package rpc instead, which adds gRPC to it: stubs, codecs,
// interceptors, status, flow control.
//
// A provider of this facet is one of two things. A [Carrier] moves the frames of
// calls between client and server through its own backend, and does not look at
// their content. A [Directory] keeps the addresses of the servers, and plain gRPC
// does the rest. The description of the provider says which one it is:
// [ClaimDirectory]. The rest of this text is the contract of a Carrier; the
// contract of a Directory is in the comment of that type.
//
// # Contract
//
// Every call is batch-shaped and made of data: strings, byte slices, numbers.
// There are no callbacks and no types of a vendor, so the same call can cross a
// process boundary.
//
// A server listens under a service name. A client opens one [Stream] for each
// call. Exactly one of the listeners of the name accepts it. Each end reads the
// frames of the other end: every frame once, in the order of sending. These are
// the frames of a call, in each direction:
//
//	client   the Call of StreamConfig, Message*, HalfClose
//	server   Headers?, Message*, Trailers
//
// Credit frames may come anywhere between them. After its Trailers the server
// closes its end. An end that closes before Trailers were exchanged abandons the
// call: this is how a cancellation travels.
//
// Load balancing: where several servers listen under one name, new streams are
// spread over them as evenly as the backend can. A stream never moves.
//
// Concurrency: all methods of [Provider] may be called concurrently. On a
// [Stream], Send and Close may be called concurrently with every method; one
// goroutine at a time calls Recv. On a [Listener], one goroutine at a time calls
// Accept, and Close may be called meanwhile.
//
// Retries: the portable layer repeats no call that a server may have seen. A
// driver never delivers a frame twice, and hands a stream to only one server.
//
// Bytes: frames change owners. The caller of Send or OpenStream does not touch
// the slices of the frames afterwards, also after an error. The caller of Recv
// owns the frames that it gets. A driver may pass on the same memory without a
// copy.
//
// Contexts: every call returns within about a second of the end of its context,
// whatever the backend does. The context of OpenStream, Listen and Accept bounds
// only that call; the stream or listener that it returns lives until it is
// closed.
//
// A lost peer: where the backend can lose the other end without a close (a killed
// process, a cut connection), the driver notices within seconds and Recv fails
// with Unavailable. A listener survives a restart of its backend; streams that
// were open during the restart fail with Unavailable.
//
// # Flow control
//
// Credits bound the memory that an end which does not read makes others use. The
// portable layer accounts for them at both ends, once for all drivers. A driver
// passes Credit frames on like all others, never blocks a Send because the reader
// is slow, and keeps every frame that was sent until it is read: the credits
// bound how much that can be.
//
// In each direction of a stream the sender starts with [Window] credits. A
// Message frame costs [Frame.Cost] credits. The sender may send it while it has
// more than zero credits, so it can overdraw them by one message. All other
// frames are free. When the program at the other end has taken messages, that end
// gives their cost back in a Credit frame; it may collect the costs of several
// messages, up to half of Window. So at most Window and one message are in flight
// in each direction of a stream. A sender that spends more breaks the contract,
// and the receiver ends the call.
//
// # Errors
//
// Errors are [*fairlead.Error] values with Code and Message set. The portable
// layer turns them into gRPC status codes. Codes by operation:
//
//   - any: Unavailable, PermissionDenied, Canceled, DeadlineExceeded, Closed,
//     Internal
//   - OpenStream: Unavailable if no server listens under the name. A driver whose
//     backend reports this only later fails the first Recv with NotFound, which
//     says that no server has seen the call; the portable layer may then open the
//     stream again
//   - Send and OpenStream: TooLarge where the backend refuses frames that the
//     published limits allow
//   - Send and Recv: Closed after either end was closed; Recv first returns all
//     frames that the other end sent before its close
//   - Accept: Unavailable while the backend is unavailable, and the caller then
//     calls again; Closed from the close of the listener or the provider on
//
// # Guarantees of the portable layer
//
// Service names are 1–128 of the characters A–Z a–z 0–9 . _ - and start with a
// letter or digit. A method is "/" service "/" method, of at most 1,024 bytes.
// Names of metadata are 1 to 1,024 bytes of the characters a–z 0–9 . _ -; values
// are any bytes. The payload of a message is at most MaxFrameBytes. Frames come in
// the order that is given above, and every end that was opened or accepted is
// closed. No method is called after Close, and no method of a claim that the
// provider does not make.
package driver

import (
	"context"
	"time"

	"fairlead.dev"
)

// Provider is implemented by a provider that describes the rpc facet, unless it
// claims [ClaimDirectory] and implements [Directory].
type Provider interface {
	fairlead.Provider
	Carrier
}

// Carrier moves the frames of calls through the provider's own backend.
type Carrier interface {
	// Listen makes this process a server of a service: after its return, streams
	// that are opened anywhere may come to the listener.
	Listen(ctx context.Context, c ListenConfig) (Listener, error)

	// OpenStream begins a call. It need not wait until a server accepts it.
	OpenStream(ctx context.Context, c StreamConfig) (Stream, error)
}

// Local is an optional interface of a [Carrier] whose clients and servers are
// always in the same process. The portable layer then passes a unary call and
// copies of its messages to the server itself, where neither end can notice the
// difference: it asks for the listener and opens no stream. The interface is
// never offered across a process boundary.
type Local interface {
	// NextListener returns the listener, as Listen returned it, that would get
	// the next stream of the service, and counts this as its turn. It does so
	// only if accepts returns true for that listener; otherwise it returns nil
	// and changes nothing. accepts does not block. NextListener fails as
	// OpenStream does.
	NextListener(ctx context.Context, service string, accepts func(Listener) bool) (Listener, error)

	// Life returns a context that ends when the provider is closed.
	Life() context.Context
}

// ListenConfig is the argument of Listen.
type ListenConfig struct {
	Service string
}

// StreamConfig is the argument of OpenStream.
type StreamConfig struct {
	Service string
	Call    Call
	// InitialFrames are the first frames of the stream, so that a driver can send
	// a whole small call at once. There may be none.
	InitialFrames []Frame
}

// Call is the part of a call that its server gets when it accepts it.
type Call struct {
	Method   string  // for example "/package.Service/Method"
	Metadata []Field // that the client sends before its messages
	// Timeout is the time that the caller's deadline left at OpenStream; 0 means
	// no deadline. It is a duration and not a point in time, because the clocks
	// of two machines differ.
	Timeout time.Duration
}

// Listener accepts the streams that come to one server.
type Listener interface {
	// Accept blocks until a stream has come.
	Accept(ctx context.Context) (Incoming, error)

	// Close stops listening. Accepted streams continue. Other streams go to
	// another server, or fail with Unavailable or Closed if there is none. If an
	// Accept that runs meanwhile still returns a stream, that stream was
	// accepted; otherwise that Accept returns Closed.
	Close(ctx context.Context) error
}

// Incoming is an accepted stream with its call.
type Incoming struct {
	Call   Call
	Stream Stream // its Recv returns the client's frames from the first one on
}

// Stream is one end of a call.
type Stream interface {
	// Send sends frames, in their order and with no frame of another Send between
	// them. It returns when the backend has taken them, and does not wait until
	// the other end reads them. A nil error does not mean that they arrive; if
	// they do not, Recv fails.
	Send(ctx context.Context, frames []Frame) error

	// Recv blocks until there are frames of the other end. It returns all frames
	// that have arrived, at least one.
	Recv(ctx context.Context) ([]Frame, error)

	// Close ends the stream, at both ends. Frames that this end has sent before
	// still reach the other end; frames that this end has not read are dropped. A
	// Recv that waits returns Closed. Calls after the first one return nil.
	Close(ctx context.Context) error
}
