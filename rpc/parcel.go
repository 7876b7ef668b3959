package rpc

import (
	"reflect"

	"google.golang.org/grpc/encoding"
	grpcproto "google.golang.org/grpc/encoding/proto"
	"google.golang.org/protobuf/proto"
)

// protobuf is gRPC's own codec, nil if the program has put another one in its
// place: what that one does to a message is not known.
var protobuf = func() encoding.CodecV2 {
	c := encoding.GetCodecV2(grpcproto.Name)
	if t := reflect.TypeOf(c); t.Kind() == reflect.Pointer && t.Elem().PkgPath() == "google.golang.org/grpc/encoding/proto" {
		return c
	}
	return nil
}()

// parcel is a message between two ends in the same process, checked by the
// sender: the message itself, which the receiver copies, or its bytes.
type parcel struct {
	message proto.Message // not to be changed; nil if there are bytes
	size    int           // of the message, encoded
	payload []byte
}

// plain reports whether messages are what gRPC's protobuf codec makes of them.
func (c codec) plain() bool {
	return protobuf != nil && c.encoding == protobuf && c.compressor == nil
}

// pack is marshal for a receiver in the same process: it fails where marshal
// does. The codec is plain.
func (c codec) pack(v any) (parcel, error) {
	m, ok := v.(proto.Message)
	if !ok || !copies(m) {
		payload, err := c.marshal(v)
		return parcel{payload: payload}, err
	}
	p := parcel{message: m, size: proto.Size(m)}
	return p, c.fits(p.size)
}

// unpack is unmarshal for a parcel: v shares nothing with what was packed. The
// codec is plain.
func (c codec) unpack(p parcel, v any) error {
	if p.message == nil {
		return c.unmarshal(p.payload, v)
	}
	if m, ok := v.(proto.Message); ok && m.ProtoReflect().Type() == p.message.ProtoReflect().Type() {
		if err := c.takes(p.size); err != nil {
			return err
		}
		proto.Reset(m)
		proto.Merge(m, p.message)
		return nil
	}
	payload, err := c.marshal(p.message) // the other end has generated its code elsewhere
	if err != nil {
		return err
	}
	return c.unmarshal(payload, v)
}
