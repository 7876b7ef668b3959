package carrier

import (
	"bytes"
	"io"
	"math"
	"strings"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/encoding"
	"google.golang.org/grpc/encoding/proto"
	"google.golang.org/grpc/mem"
	"google.golang.org/grpc/status"
	pb "google.golang.org/protobuf/proto"

	"fairlead.dev/rpc/driver"
)

// The metadata that says how the messages of a call are encoded, with gRPC's
// names and values. The client sends it with the call; it applies to both
// directions.
const (
	contentTypeName = "content-type"
	contentTypeBase = "application/grpc"
	encodingName    = "grpc-encoding"
)

// codec encodes and decodes messages within size limits.
type codec struct {
	encoding   encoding.CodecV2
	compressor encoding.Compressor // nil for none
	maxSend    int                 // bytes
	maxRecv    int                 // bytes
}

// newCodec returns a protobuf codec. A frameLimit of 0 means no limit.
func newCodec(maxSend, maxRecv, frameLimit int) codec {
	if frameLimit > 0 {
		maxSend = min(maxSend, frameLimit)
	}
	return codec{encoding: encoding.GetCodecV2(proto.Name), maxSend: maxSend, maxRecv: maxRecv}
}

// codecNamed returns the registered codec of a content-subtype, or nil.
func codecNamed(subtype string) encoding.CodecV2 {
	if c := encoding.GetCodecV2(subtype); c != nil {
		return c
	}
	if c := encoding.GetCodec(subtype); c != nil {
		return codecV1{c}
	}
	return nil
}

// codecV1 adapts an [encoding.Codec] to an [encoding.CodecV2].
type codecV1 struct{ encoding.Codec }

func (c codecV1) Marshal(v any) (mem.BufferSlice, error) {
	data, err := c.Codec.Marshal(v)
	return mem.BufferSlice{mem.SliceBuffer(data)}, err
}

func (c codecV1) Unmarshal(data mem.BufferSlice, v any) error {
	return c.Codec.Unmarshal(data.Materialize(), v)
}

// metadataFields returns the metadata that tells the server which codec the call
// uses. It has no fields for the defaults.
func (c codec) metadataFields() (fields []driver.Field) {
	if name := strings.ToLower(c.encoding.Name()); name != proto.Name {
		fields = append(fields, driver.Field{Name: contentTypeName, Value: []byte(contentTypeBase + "+" + name)})
	}
	if c.compressor != nil {
		fields = append(fields, driver.Field{Name: encodingName, Value: []byte(c.compressor.Name())})
	}
	return fields
}

// forCall returns the codec for a call that came with these fields.
func (c codec) forCall(fields []driver.Field) (codec, error) {
	for _, f := range fields {
		switch value := string(f.Value); f.Name {
		case contentTypeName:
			if c.encoding = codecNamed(strings.TrimPrefix(value, contentTypeBase+"+")); c.encoding == nil {
				return c, status.Errorf(codes.Unimplemented, "the server has no codec for the content type %.100q", value)
			}
		case encodingName:
			if c.compressor = encoding.GetCompressor(value); c.compressor == nil {
				return c, status.Errorf(codes.Unimplemented, "the server has no decompressor for the encoding %.100q", value)
			}
		}
	}
	return c, nil
}

func (c codec) marshal(m any) ([]byte, error) {
	if p, ok := m.(pb.Message); ok && c.isPlainProtobuf() {
		if data, err := pb.Marshal(p); err == nil {
			return data, c.checkSendSize(len(data))
		}
	} // if this failed, the codec returns the error
	data, err := c.encoding.Marshal(m)
	if err != nil {
		return nil, status.Errorf(codes.Internal, "encoding the message: %v", err)
	}
	defer data.Free()
	if c.compressor != nil {
		return c.compress(data)
	}
	if err := c.checkSendSize(data.Len()); err != nil {
		return nil, err
	}
	return data.Materialize(), nil
}

func (c codec) checkSendSize(size int) error {
	if size > c.maxSend {
		return status.Errorf(codes.ResourceExhausted, "trying to send message larger than max (%d vs. %d)", size, c.maxSend)
	}
	return nil
}

func (c codec) compress(data mem.BufferSlice) ([]byte, error) {
	var out bytes.Buffer
	w, err := c.compressor.Compress(&out)
	for _, b := range data {
		if err == nil {
			_, err = w.Write(b.ReadOnlyData())
		}
	}
	if err == nil {
		err = w.Close()
	}
	if err != nil {
		return nil, status.Errorf(codes.Internal, "compressing the message: %v", err)
	}
	return out.Bytes(), c.checkSendSize(out.Len())
}

func (c codec) unmarshal(payload []byte, m any) error {
	payload, err := c.decompress(payload)
	if err != nil {
		return err
	}
	if err := c.checkRecvSize(len(payload)); err != nil {
		return err
	}
	if p, ok := m.(pb.Message); ok && c.isPlainProtobuf() && pb.Unmarshal(payload, p) == nil {
		return nil
	}
	if err := c.encoding.Unmarshal(mem.BufferSlice{mem.SliceBuffer(payload)}, m); err != nil {
		return status.Errorf(codes.Internal, "decoding the received message: %v", err)
	}
	return nil
}

func (c codec) checkRecvSize(size int) error {
	if size > c.maxRecv {
		return status.Errorf(codes.ResourceExhausted, "received message larger than max (%d vs. %d)", size, c.maxRecv)
	}
	return nil
}

// decompress stops one byte after the limit, because a small message may
// decompress to a huge one. The caller checks the size.
func (c codec) decompress(payload []byte) ([]byte, error) {
	if c.compressor == nil {
		return payload, nil
	}
	r, err := c.compressor.Decompress(bytes.NewReader(payload))
	if err == nil {
		payload, err = io.ReadAll(io.LimitReader(r, min(int64(c.maxRecv), math.MaxInt64-1)+1))
	}
	if err != nil {
		return nil, status.Errorf(codes.Internal, "decompressing the received message: %v", err)
	}
	return payload, nil
}
