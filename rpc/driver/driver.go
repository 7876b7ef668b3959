// Package driver is what a provider implements to offer the rpc facet.
// Programs use package rpc instead, which makes gRPC of it: stubs, codecs,
// interceptors, status, flow control.
//
// A provider of this facet is one of two things. A [Carrier] moves frames
// between the two ends of a call through its own backend, and knows nothing of
// what they mean. A [Directory] keeps the addresses of the servers, and gRPC
// does the rest. Which one it is stands in its description: [ClaimDirectory].
// What follows is the contract of a Carrier; that of a Directory stands with
// it.
//
// # Contract
//
// Every call is batch-shaped and made of data: strings, byte slices, numbers.
// There are no callbacks and no types of a vendor, so that the same call may
// cross a process.
//
// A server listens under the name of a service. A client opens one [Stream]
// for each call; exactly one of the listeners of that name accepts it, and
// each end reads what the other one sends: every frame once, in the order of
// sending. The frames of a call, in each direction:
//
//	client   the Call of StreamConfig, Message*, HalfClose
//	server   Headers?, Message*, Trailers
//
// Credit frames may come anywhere between. After its Trailers the server
// closes its end. An end that closes before Trailers were exchanged gives the
// call up: this is how a cancellation travels.
//
// Spreading: where several servers listen under one name, new streams are
// spread over them evenly, as far as the backend can. A stream never moves.
//
// Concurrency: all methods of [Provider] may be called concurrently. On a
// [Stream], Send and Close may be called concurrently with everything; Recv is
// called by one goroutine at a time. On a [Listener], Accept is called by one
// goroutine at a time, and Close may be called while it runs.
//
// Retries: nobody above the driver repeats a call. A driver never delivers a
// frame twice, and hands one stream to one server only.
//
// Bytes: frames change hands. Whoever passes frames to Send or OpenStream does
// not touch their slices afterwards, also after an error; whoever gets frames
// from Recv owns them. A driver may pass on the same memory without a copy.
//
// Contexts: every call returns within about a second of the end of its
// context, whatever the backend does. The context of OpenStream, Listen and
// Accept bounds that call alone; what they return lives until it is closed.
//
// A lost peer: where the backend can lose the other end without its closing
// (a process killed, a connection cut), the driver notices within seconds and
// Recv fails with Unavailable. A listener survives the restart of its backend;
// streams that were open meanwhile fail with Unavailable.
//
// # Flow control
//
// Credits bound what a reader that does not read makes others keep. The
// portable layer keeps the account at both ends, once for all drivers; a
// driver passes Credit frames on like all others, never blocks a Send for the
// sake of a slow reader, and keeps whatever was sent until it is read: the
// credits bound how much that can be.
//
// In each direction of a stream the sender starts with [Window] credits. A
// Message frame costs [Frame.Cost] credits. It may be sent while the account
// is above zero, which it may thus overdraw by one message; all other frames
// are free. When the program at the other end has taken messages, that end
// gives their cost back in a Credit frame; it may save them up, to at most
// half of Window. So at most Window and one message are under way in each
// direction of a stream. A sender that exceeds its account broke the
// contract, and the receiver ends the call.
//
// # Errors
//
// Errors are [*fairlead.Error] values with Code and Message set; the portable
// layer makes gRPC status codes of them. Codes by operation:
//
//   - any: Unavailable, PermissionDenied, Canceled, DeadlineExceeded, Closed,
//     Internal
//   - OpenStream: Unavailable if nobody listens under the name. A driver whose
//     backend tells only later fails the first Recv with NotFound, which says
//     that no server has seen the call; the portable layer may open it again
//   - Send and OpenStream: TooLarge where the backend refuses what the
//     published limits allow
//   - Send and Recv: Closed after either end was closed; Recv first returns
//     all that was sent before the other end's close
//   - Accept: Unavailable while the backend is away, and it is then called
//     again; Closed after Close or that of the provider, for ever
//
// # What the portable layer guarantees to a driver
//
// Names of services are 1–128 of the characters A–Z a–z 0–9 . _ - and start
// with a letter or digit. A method is "/" service "/" method, of at most 1,024
// bytes. Names of metadata are 1 to 1,024 bytes of the characters a–z 0–9 . _
// -; values are any bytes. The payload of a message is at most MaxFrameBytes.
// Frames come in the order that is written above, and every end that was
// opened or accepted is closed. Nothing is called after Close, and nothing
// that is not claimed.
package driver

import (
	"context"
	"time"

	"fairlead.dev"
)

// Provider is implemented by a provider that describes the rpc facet, unless
// it claims [ClaimDirectory] and implements [Directory].
type Provider interface {
	fairlead.Provider
	Carrier
}

// Carrier moves the frames of calls through the provider's own backend.
type Carrier interface {
	// Listen makes this process a server of a service: from its return on,
	// streams opened anywhere may come to it.
	Listen(ctx context.Context, c ListenConfig) (Listener, error)

	// OpenStream begins a call. It need not wait until a server accepts it.
	OpenStream(ctx context.Context, c StreamConfig) (Stream, error)
}

// Local is implemented, besides [Carrier], by one whose clients and servers are
// in the same process, always. The portable layer then hands a unary call and
// its messages, copied, to its server itself, where neither end would see a
// difference: it asks for the listener and need not open a stream. It is
// optional, and is never served across a process.
type Local interface {
	// NextListener returns the listener, as Listen has returned it, that would
	// get the next stream of the service, and counts that as its turn: if takes
	// is true of it, and otherwise it returns nil and nothing has happened.
	// takes does not block. NextListener fails as OpenStream does.
	NextListener(ctx context.Context, service string, takes func(Listener) bool) (Listener, error)

	// Life returns a context that ends when the provider is closed.
	Life() context.Context
}

// ListenConfig says what to listen for.
type ListenConfig struct {
	Service string
}

// StreamConfig says which stream to open.
type StreamConfig struct {
	Service string
	Call    Call
	// First are the first frames to send, so that a driver can send a whole
	// small call at once. May be empty.
	First []Frame
}

// Call is what a server learns of a call when it accepts it.
type Call struct {
	Method   string  // as "/package.Service/Method"
	Metadata []Field // what the client sends ahead
	// Timeout is what was left, at OpenStream, of the time that the caller
	// gives the call; 0 if it gives it any time. It is not a moment, since
	// the clocks of two machines differ.
	Timeout time.Duration
}

// Listener takes the streams that come to one server.
type Listener interface {
	// Accept blocks until a stream has come.
	Accept(ctx context.Context) (Incoming, error)

	// Close stops listening. Streams that were accepted go on. Streams that
	// were not accepted go to another server, or fail with Unavailable or
	// Closed if there is none. A stream that an Accept under way returns
	// nevertheless was accepted; otherwise that Accept returns Closed.
	Close(ctx context.Context) error
}

// Incoming is a stream with the call that the client made.
type Incoming struct {
	Call   Call
	Stream Stream // its Recv returns the client's frames from the first one on
}

// Stream is one end of a call.
type Stream interface {
	// Send sends frames, in their order and with no frame of another Send
	// between them. It returns when they are handed over, and does not wait
	// for the other end to read them. That it returns nil does not mean that
	// they arrive; if they do not, Recv fails.
	Send(ctx context.Context, frames []Frame) error

	// Recv blocks until there are frames from the other end, and returns at
	// least one and all that wait.
	Recv(ctx context.Context) ([]Frame, error)

	// Close ends the stream, at both ends. Frames that this end has sent
	// before still reach the other one; frames that it has not read are
	// dropped. A call that waits in Recv is answered with Closed. Calls after
	// the first return nil.
	Close(ctx context.Context) error
}
