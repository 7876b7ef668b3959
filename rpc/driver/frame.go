package driver

// FrameKind is the kind of a [Frame]. The numbers are fixed, because they cross
// process boundaries.
type FrameKind uint8

const (
	// FrameHeaders is the metadata that a server sends before its messages.
	FrameHeaders FrameKind = 1
	// FrameMessage is one whole message.
	FrameMessage FrameKind = 2
	// FrameHalfClose says that the client sends no more messages.
	FrameHalfClose FrameKind = 3
	// FrameTrailers is the metadata that a server sends after its messages, and
	// the status of the call. It is the last frame of a server.
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

// Window is the number of credits with which each direction of a stream starts.
// It is a part of the protocol: both ends know it.
const Window = 256 << 10

// messageOverhead is the cost of a message besides its bytes, so that the credits
// bound the number of empty messages too.
const messageOverhead = 64

// Cost returns the number of credits that sending the frame takes.
func (f Frame) Cost() int {
	if f.Kind != FrameMessage {
		return 0
	}
	return len(f.Payload) + messageOverhead
}

// Field is one piece of metadata. A name with several values is in several
// fields, in the order of the values.
type Field struct {
	Name  string
	Value []byte
}

// Status is the outcome of a call, in gRPC's terms.
type Status struct {
	Code    uint32 // of google.golang.org/grpc/codes; 0 is success
	Message string
	// Details is a google.rpc.Status in the protobuf encoding if the status has
	// details, and empty otherwise.
	Details []byte
}
