package transport

import (
	"encoding/json"

	"google.golang.org/grpc/encoding"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
)

func init() { encoding.RegisterCodec(jsonCodec{}) }

// JSONSubtype is the content-subtype of messages in JSON.
const JSONSubtype = "json"

// jsonCodec encodes a protobuf message in protobuf's JSON mapping, and any other
// value with encoding/json.
type jsonCodec struct{}

// Name implements [encoding.Codec].
func (jsonCodec) Name() string { return JSONSubtype }

// Marshal implements [encoding.Codec].
func (jsonCodec) Marshal(v any) ([]byte, error) {
	if m, ok := v.(proto.Message); ok {
		return protojson.Marshal(m)
	}
	return json.Marshal(v)
}

// Unmarshal implements [encoding.Codec].
func (jsonCodec) Unmarshal(data []byte, v any) error {
	if m, ok := v.(proto.Message); ok {
		return protojson.Unmarshal(data, m)
	}
	return json.Unmarshal(data, v)
}
