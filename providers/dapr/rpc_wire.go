package dapr

import (
	"strings"

	spb "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc/mem"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"fairlead.dev/rpc/driver"
)

// The headers that the sidecar reads, and ours.
const (
	appHeader      = "dapr-app-id"
	streamHeader   = "dapr-stream"
	serviceHeader  = "fairlead-service"
	typeHeader     = "fairlead-content-type"
	encodingHeader = "fairlead-encoding"
	// wholeHeader says that all that the client sends is on its way, and that it
	// is little.
	wholeHeader = "fairlead-whole"
	// heldPrefix begins the names of headers that travel as trailers: the
	// runtime passes headers on with the first message, and without one drops
	// them.
	heldPrefix = "fairlead-header-"
	// unservedTrailer says that a server is there and has no listener.
	unservedTrailer = "fairlead-unserved"
)

// renamed are the fields of a call that gRPC keeps to itself: on the way a
// message is bytes, and what they mean is the concern of both ends.
var renamed = map[string]string{"content-type": typeHeader, "grpc-encoding": encodingHeader}

// originalNames is the inverse of renamed.
var originalNames = map[string]string{typeHeader: "content-type", encodingHeader: "grpc-encoding"}

// toMetadata returns fields as gRPC sends them.
func toMetadata(fields []driver.Field) metadata.MD {
	md := metadata.MD{}
	for _, f := range fields {
		name := f.Name
		if other := renamed[name]; other != "" {
			name = other
		}
		if !inner(name) || name == typeHeader || name == encodingHeader {
			md[name] = append(md[name], string(f.Value))
		}
	}
	return md
}

// inner reports whether a header is one of those that make the calls work.
func inner(name string) bool {
	return strings.HasPrefix(name, "fairlead-") || name == appHeader || name == streamHeader
}

// fromMetadata returns what gRPC has received as fields.
func fromMetadata(md metadata.MD) []driver.Field {
	fields := make([]driver.Field, 0, len(md))
	for name, values := range md {
		if strings.HasPrefix(name, ":") || name == "content-type" || name == "user-agent" {
			continue
		}
		if own := originalNames[name]; own != "" {
			name = own
		} else if inner(name) {
			continue
		}
		for _, v := range values {
			fields = append(fields, driver.Field{Name: name, Value: []byte(v)})
		}
	}
	return fields
}

// hold adds headers to trailers.
func hold(trailer, header metadata.MD) {
	for name, values := range header {
		trailer[heldPrefix+name] = values
	}
}

// held returns the headers that were held in trailers.
func held(trailer metadata.MD) []driver.Field {
	header := metadata.MD{}
	for name, values := range trailer {
		if name, ok := strings.CutPrefix(name, heldPrefix); ok {
			header[name] = values
		}
	}
	return fromMetadata(header)
}

// toStatus returns how a call ended, as a frame says it.
func toStatus(err error) driver.Status {
	s := status.Convert(err)
	out := driver.Status{Code: uint32(s.Code()), Message: s.Message()}
	if p := s.Proto(); len(p.GetDetails()) > 0 {
		out.Details, _ = proto.Marshal(p) // it has been decoded before
	}
	return out
}

// fromStatus returns how a call ended, as gRPC says it.
func fromStatus(s driver.Status) error {
	p := &spb.Status{}
	if len(s.Details) == 0 || proto.Unmarshal(s.Details, p) != nil {
		p.Details = nil
	}
	p.Code, p.Message = int32(s.Code), s.Message
	return status.FromProto(p).Err()
}

// rawCodec passes messages on as they are: as *[]byte.
type rawCodec struct{}

// Name implements [encoding.CodecV2]. It is the one that every gRPC server has.
func (rawCodec) Name() string { return "proto" }

// Marshal implements [encoding.CodecV2].
func (rawCodec) Marshal(v any) (mem.BufferSlice, error) {
	return mem.BufferSlice{mem.SliceBuffer(*v.(*[]byte))}, nil
}

// Unmarshal implements [encoding.CodecV2].
func (rawCodec) Unmarshal(data mem.BufferSlice, v any) error {
	*v.(*[]byte) = data.Materialize()
	return nil
}
