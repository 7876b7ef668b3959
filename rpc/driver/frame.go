package driver

// FrameKind says what a [Frame] is. The numbers are fixed: they cross
// processes.
type FrameKind uint8

const (
	// FrameHeaders is the metadata that a server sends before its messages.
	FrameHeaders FrameKind = 1
	// FrameMessage is one whole message.
	FrameMessage FrameKind = 2
	// FrameHalfClose says that the client sends no more messages.
	FrameHalfClose FrameKind = 3
	// FrameTrailers is the server's metadata after its messages and the status
	// of the call: the last frame of a server.
	FrameTrailers FrameKind = 4
	// FrameCredit gives credits back to the sender of messages.
	FrameCredit FrameKind = 5
)

// Frame is one piece of a call.
type Frame struct {
	Kind     FrameKind
	Metadata []Field // FrameHeaders, FrameTrailers
	Payload  []byte  // FrameMessage; nil and empty are the same
	Status   Status  // FrameTrailers
	Credit   int     // FrameCredit, at least 1
}

// Window is the number of credits with which each direction of a stream
// starts. It is a part of the protocol: both ends know it.
const Window = 256 << 10

// messageOverhead is what a message costs beyond its bytes, so that empty
// messages are bounded too.
const messageOverhead = 64

// Cost returns the number of credits that sending the frame takes.
func (f Frame) Cost() int {
	if f.Kind != FrameMessage {
		return 0
	}
	return len(f.Payload) + messageOverhead
}

// Field is one piece of metadata. A name that comes several times has several
// values, in that order.
type Field struct {
	Name  string
	Value []byte
}

// Status is how a call ended, in the terms of gRPC.
type Status struct {
	Code    uint32 // of google.golang.org/grpc/codes; 0 is success
	Message string
	// Details is a google.rpc.Status in the protobuf encoding, if the status
	// has details; otherwise empty.
	Details []byte
}
