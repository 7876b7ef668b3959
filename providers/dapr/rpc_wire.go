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

// The headers that the sidecar reads, and the headers that only Fairlead reads.
const (
	appHeader      = "dapr-app-id"
	streamHeader   = "dapr-stream"
	serviceHeader  = "fairlead-service"
	typeHeader     = "fairlead-content-type"
	encodingHeader = "fairlead-encoding"
	// wholeHeader says that all messages of the client follow at once, and that
	// they are small.
	wholeHeader = "fairlead-whole"
	// heldPrefix begins the names of headers that travel as trailers: the
	// runtime passes headers on only with the first message, and drops them if
	// there is none.
	heldPrefix = "fairlead-header-"
	// unservedTrailer says that a server exists but has no listener for the
	// service.
	unservedTrailer = "fairlead-unserved"
)

// renamedHeaders are the headers that gRPC interprets itself. They are renamed,
// since a message is only bytes in between: both ends interpret it.
var renamedHeaders = map[string]string{"content-type": typeHeader, "grpc-encoding": encodingHeader}

// originalNames is the inverse of renamedHeaders.
var originalNames = map[string]string{typeHeader: "content-type", encodingHeader: "grpc-encoding"}

// toMetadata returns fields as gRPC metadata.
func toMetadata(fields []driver.Field) metadata.MD {
	md := metadata.MD{}
	for _, f := range fields {
		name := f.Name
		if other := renamedHeaders[name]; other != "" {
			name = other
		}
		if !isInternalHeader(name) || name == typeHeader || name == encodingHeader {
			md[name] = append(md[name], string(f.Value))
		}
	}
	return md
}

// isInternalHeader reports whether a header belongs to Fairlead or Dapr, not to
// the call.
func isInternalHeader(name string) bool {
	return strings.HasPrefix(name, "fairlead-") || name == appHeader || name == streamHeader
}

// fromMetadata returns gRPC metadata as fields.
func fromMetadata(md metadata.MD) []driver.Field {
	fields := make([]driver.Field, 0, len(md))
	for name, values := range md {
		if strings.HasPrefix(name, ":") || name == "content-type" || name == "user-agent" {
			continue
		}
		if own := originalNames[name]; own != "" {
			name = own
		} else if isInternalHeader(name) {
			continue
		}
		for _, v := range values {
			fields = append(fields, driver.Field{Name: name, Value: []byte(v)})
		}
	}
	return fields
}

// addHeadersToTrailer adds headers to trailers.
func addHeadersToTrailer(trailer, header metadata.MD) {
	for name, values := range header {
		trailer[heldPrefix+name] = values
	}
}

// headersFromTrailer returns the headers in trailers.
func headersFromTrailer(trailer metadata.MD) []driver.Field {
	header := metadata.MD{}
	for name, values := range trailer {
		if name, ok := strings.CutPrefix(name, heldPrefix); ok {
			header[name] = values
		}
	}
	return fromMetadata(header)
}

// toStatus returns how a call ended, as a frame states it.
func toStatus(err error) driver.Status {
	s := status.Convert(err)
	out := driver.Status{Code: uint32(s.Code()), Message: s.Message()}
	if p := s.Proto(); len(p.GetDetails()) > 0 {
		out.Details, _ = proto.Marshal(p) // it was decoded before, so it can be encoded
	}
	return out
}

// fromStatus returns how a call ended, as gRPC states it.
func fromStatus(s driver.Status) error {
	p := &spb.Status{}
	if len(s.Details) == 0 || proto.Unmarshal(s.Details, p) != nil {
		p.Details = nil
	}
	p.Code, p.Message = int32(s.Code), s.Message
	return status.FromProto(p).Err()
}

// rawCodec passes messages on unchanged, as *[]byte.
type rawCodec struct{}

// Name implements [encoding.CodecV2]. Every gRPC server has a codec of this
// name.
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
