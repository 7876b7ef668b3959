package carrier

import (
	"reflect"

	"google.golang.org/grpc/encoding"
	grpcproto "google.golang.org/grpc/encoding/proto"
	"google.golang.org/protobuf/proto"
)

// protobuf is gRPC's own protobuf codec. It is nil if the program has registered
// another codec in its place, whose effect on a message is unknown.
var protobuf = func() encoding.CodecV2 {
	c := encoding.GetCodecV2(grpcproto.Name)
	if t := reflect.TypeOf(c); t.Kind() == reflect.Pointer && t.Elem().PkgPath() == "google.golang.org/grpc/encoding/proto" {
		return c
	}
	return nil
}()

// localMessage is a message on its way to the other end in the same process. The
// sender has checked it. It holds either the message, which the receiver copies,
// or its encoding.
type localMessage struct {
	message proto.Message // must not be changed; nil if there is a payload
	size    int           // of the encoded message, in bytes
	payload []byte
}

// isPlainProtobuf reports whether the codec is gRPC's own protobuf codec without
// compression.
func (c codec) isPlainProtobuf() bool {
	return protobuf != nil && c.encoding == protobuf && c.compressor == nil
}

// wrapLocal replaces marshal for a receiver in the same process. It fails if
// marshal does. The codec has to be plain protobuf.
func (c codec) wrapLocal(v any) (localMessage, error) {
	m, ok := v.(proto.Message)
	if !ok || !isCopyable(m) {
		payload, err := c.marshal(v)
		return localMessage{payload: payload}, err
	}
	p := localMessage{message: m, size: proto.Size(m)}
	return p, c.checkSendSize(p.size)
}

// unwrapLocal replaces unmarshal for a local message. Afterwards v shares no
// memory with the message that was wrapped. The codec has to be plain protobuf.
func (c codec) unwrapLocal(p localMessage, v any) error {
	if p.message == nil {
		return c.unmarshal(p.payload, v)
	}
	if m, ok := v.(proto.Message); ok && m.ProtoReflect().Type() == p.message.ProtoReflect().Type() {
		if err := c.checkRecvSize(p.size); err != nil {
			return err
		}
		proto.Reset(m)
		proto.Merge(m, p.message)
		return nil
	}
	payload, err := c.marshal(p.message) // the Go types of the two ends differ
	if err != nil {
		return err
	}
	return c.unmarshal(payload, v)
}
