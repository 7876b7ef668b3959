package rpc

import (
	"encoding/json"

	"google.golang.org/grpc/encoding"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
)

func init() { encoding.RegisterCodec(jsonCodec{}) }

// jsonName is the content-subtype of messages in JSON.
const jsonName = "json"

// jsonCodec encodes protobuf messages as protobuf has it for JSON, and all
// others as encoding/json does.
type jsonCodec struct{}

// Name implements [encoding.Codec].
func (jsonCodec) Name() string { return jsonName }

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
