package carrier

import (
	"strings"
	"testing"

	"google.golang.org/grpc/encoding/proto"
	pb "google.golang.org/grpc/interop/grpc_testing"
	pbproto "google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/dynamicpb"
	"google.golang.org/protobuf/types/known/structpb"

	"fairlead.dev/rpc/internal/transport"
)

const invalidUTF8 = "\xff"

func stats(text string) *pb.LoadBalancerStatsResponse {
	type (
		peers    = pb.LoadBalancerStatsResponse_RpcsByPeer
		metadata = pb.LoadBalancerStatsResponse_MetadataByPeer
		all      = pb.LoadBalancerStatsResponse_RpcMetadata
		entry    = pb.LoadBalancerStatsResponse_MetadataEntry
	)
	return &pb.LoadBalancerStatsResponse{
		RpcsByPeer:      map[string]int32{"a": 1, "b": 2},
		RpcsByMethod:    map[string]*peers{"m": {RpcsByPeer: map[string]int32{text: 3}}},
		MetadatasByPeer: map[string]*metadata{"p": {RpcMetadata: []*all{{}, {Metadata: []*entry{{Key: "k", Value: text}}}}}},
	}
}

// A message is copied only if that has the same result as encoding and decoding it.
func TestIsCopyable(t *testing.T) {
	unknown := &pb.SimpleRequest{}
	unknown.ProtoReflect().SetUnknown([]byte{0xf8, 0x7f, 1})
	deep, err := structpb.NewStruct(map[string]any{"a": map[string]any{"b": 1}})
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		message pbproto.Message
		copied  bool
		fails   bool
	}{
		"empty":                   {&pb.Empty{}, true, false},
		"nil":                     {(*pb.SimpleRequest)(nil), false, false},
		"payload":                 {&pb.SimpleRequest{Payload: &pb.Payload{Body: []byte("x")}, ResponseStatus: &pb.EchoStatus{Message: "é"}}, true, false},
		"unknown fields":          {unknown, true, false},
		"invalid UTF-8":           {&pb.SimpleResponse{Username: invalidUTF8}, false, true},
		"no text below":           {&pb.SimpleRequest{ResponseStatus: &pb.EchoStatus{Message: invalidUTF8}}, false, true},
		"maps and lists":          {stats("é"), true, false},
		"invalid UTF-8 in a map":  {&pb.LoadBalancerStatsResponse{RpcsByPeer: map[string]int32{invalidUTF8: 1}}, false, true},
		"invalid UTF-8 in a list": {&pb.LoadBalancerStatsRequest{MetadataKeys: []string{"a", invalidUTF8}}, false, true},
		"invalid UTF-8 deep down": {stats(invalidUTF8), false, true},
		"types in a cycle":        {deep, false, false},
		"proto2":                  {&descriptorpb.FileDescriptorProto{Name: pbproto.String("x")}, false, false},
		"a field is missing":      {&descriptorpb.UninterpretedOption_NamePart{}, false, true},
		"a type made at run time": {dynamicpb.NewMessage((&pb.SimpleRequest{}).ProtoReflect().Descriptor()), false, false},
	} {
		t.Run(name, func(t *testing.T) {
			codec := newCodec(defaultMaxSend, transport.DefaultMaxRecvMsgSize, 0)
			p, err := codec.wrapLocal(c.message)
			_, same := codec.marshal(c.message)
			if (err != nil) != c.fails || (same != nil) != c.fails || c.fails && err.Error() != same.Error() {
				t.Fatalf("wrapLocal: %v; marshal: %v", err, same)
			}
			if err != nil {
				return
			}
			if copied := p.message != nil; copied != c.copied {
				t.Errorf("copied: %v", copied)
			}
			got := c.message.ProtoReflect().New().Interface()
			if err := codec.unwrapLocal(p, got); err != nil || !pbproto.Equal(got, c.message) && c.message.ProtoReflect().IsValid() {
				t.Errorf("got %v, %v; want %v", got, err, c.message)
			}
		})
	}
}

// The received message replaces the previous content, shares no memory with the
// sent one, and may have another Go type for the same protobuf type.
func TestUnwrapLocal(t *testing.T) {
	codec := newCodec(defaultMaxSend, transport.DefaultMaxRecvMsgSize, 0)
	sent := &pb.SimpleRequest{Payload: &pb.Payload{Body: []byte("abc")}}
	p, err := codec.wrapLocal(sent)
	if err != nil {
		t.Fatal(err)
	}
	got := &pb.SimpleRequest{FillUsername: true, Payload: &pb.Payload{Type: 7}}
	if err := codec.unwrapLocal(p, got); err != nil || !pbproto.Equal(got, sent) {
		t.Fatalf("got %v, %v", got, err)
	}
	got.Payload.Body[0] = 'X'
	if string(sent.Payload.Body) != "abc" {
		t.Error("the sent and the received message share a slice")
	}
	other := dynamicpb.NewMessage(sent.ProtoReflect().Descriptor())
	if err := codec.unwrapLocal(p, other); err != nil || !pbproto.Equal(other, sent) {
		t.Errorf("got %v, %v", other, err)
	}
}

func TestWrappedSizes(t *testing.T) {
	m := &pb.Payload{Body: make([]byte, 1000)}
	size := pbproto.Size(m)
	for _, limit := range []int{size - 1, size} {
		sender, receiver := newCodec(limit, transport.DefaultMaxRecvMsgSize, 0), newCodec(defaultMaxSend, limit, 0)
		p, err := receiver.wrapLocal(m)
		if err != nil {
			t.Fatal(err)
		}
		payload, err := receiver.marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		_, packed := sender.wrapLocal(m)
		_, marshalled := sender.marshal(m)
		unpacked, unmarshalled := receiver.unwrapLocal(p, &pb.Payload{}), receiver.unmarshal(payload, &pb.Payload{})
		for _, pair := range [][2]error{{packed, marshalled}, {unpacked, unmarshalled}} {
			if got, want := message(pair[0]), message(pair[1]); got != want || (got == "") != (limit == size) {
				t.Errorf("limit %d, size %d: %q without encoding, %q with it", limit, size, got, want)
			}
		}
	}
}

func message(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

func TestIsPlainProtobuf(t *testing.T) {
	if protobuf == nil || !newCodec(1, 1, 0).isPlainProtobuf() {
		t.Fatalf("gRPC's codec %q is not recognised", proto.Name)
	}
	if (codec{encoding: codecNamed("json")}).isPlainProtobuf() {
		t.Error("JSON is taken for protobuf")
	}
}

// FuzzWrapLocal shows that wrapLocal fails if marshal does, whatever the strings
// are.
func FuzzWrapLocal(f *testing.F) {
	f.Add("a", "b")
	f.Add(invalidUTF8, "\xed\xa0\x80")
	f.Fuzz(func(t *testing.T, a, b string) {
		codec := newCodec(defaultMaxSend, transport.DefaultMaxRecvMsgSize, 0)
		m := stats(a)
		m.RpcsByMethod[b] = nil
		m.RpcsByPeer[strings.ToUpper(b)] = 1
		p, err := codec.wrapLocal(m)
		payload, same := codec.marshal(m)
		if message(err) != message(same) {
			t.Fatalf("wrapLocal: %v; marshal: %v", err, same)
		}
		if err != nil {
			return
		}
		copied, decoded := &pb.LoadBalancerStatsResponse{}, &pb.LoadBalancerStatsResponse{}
		if err, same := codec.unwrapLocal(p, copied), codec.unmarshal(payload, decoded); err != nil || same != nil || !pbproto.Equal(copied, decoded) {
			t.Fatalf("%v, %v: %v %v", err, same, copied, decoded)
		}
	})
}
