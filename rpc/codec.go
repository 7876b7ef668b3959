package rpc

import (
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/encoding"
	"google.golang.org/grpc/encoding/proto"
	"google.golang.org/grpc/mem"
	"google.golang.org/grpc/status"
)

// codec turns messages into bytes and back, within limits.
type codec struct {
	encoding encoding.CodecV2
	maxSend  int // bytes
	maxRecv  int // bytes
}

// newCodec returns a protobuf codec. A frameLimit of 0 is none.
func newCodec(maxSend, maxRecv, frameLimit int) codec {
	if frameLimit > 0 {
		maxSend = min(maxSend, frameLimit)
	}
	return codec{encoding: encoding.GetCodecV2(proto.Name), maxSend: maxSend, maxRecv: maxRecv}
}

func (c codec) marshal(m any) ([]byte, error) {
	data, err := c.encoding.Marshal(m)
	if err != nil {
		return nil, status.Errorf(codes.Internal, "encoding the message: %v", err)
	}
	defer data.Free()
	if data.Len() > c.maxSend {
		return nil, status.Errorf(codes.ResourceExhausted, "trying to send message larger than max (%d vs. %d)", data.Len(), c.maxSend)
	}
	return data.Materialize(), nil
}

func (c codec) unmarshal(payload []byte, m any) error {
	if len(payload) > c.maxRecv {
		return status.Errorf(codes.ResourceExhausted, "received message larger than max (%d vs. %d)", len(payload), c.maxRecv)
	}
	if err := c.encoding.Unmarshal(mem.BufferSlice{mem.SliceBuffer(payload)}, m); err != nil {
		return status.Errorf(codes.Internal, "decoding the received message: %v", err)
	}
	return nil
}
