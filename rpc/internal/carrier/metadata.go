package carrier

import (
	"strings"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"fairlead.dev/rpc/driver"
)

// maxMetadataName is the length of the longest name, in bytes. The driver
// contract fixes it.
const maxMetadataName = 1024

// fieldsFromMetadata returns the fields for a driver. It leaves out reserved
// names, as gRPC does. A bad name or value is an Internal error.
func fieldsFromMetadata(md metadata.MD) ([]driver.Field, error) {
	if len(md) == 0 {
		return nil, nil
	}
	fields := make([]driver.Field, 0, len(md))
	for name, values := range md {
		name = strings.ToLower(name)
		if isReservedName(name) {
			continue
		}
		if err := checkMetadata(name, values); err != nil {
			return nil, err
		}
		for _, v := range values {
			fields = append(fields, driver.Field{Name: name, Value: []byte(v)})
		}
	}
	return fields, nil
}

// metadataFromFields returns the metadata for a program. It is never nil.
func metadataFromFields(fields []driver.Field) metadata.MD {
	md := make(metadata.MD, len(fields))
	for _, f := range fields {
		if f.Name == encodingName {
			continue // of the transport, not of the program
		}
		md[f.Name] = append(md[f.Name], string(f.Value))
	}
	return md
}

// isReservedName reports whether programs must not use the name, because gRPC
// does.
func isReservedName(name string) bool {
	switch name {
	case "content-type", "user-agent", "te", "grpc-message-type", "grpc-encoding",
		"grpc-message", "grpc-status", "grpc-status-details-bin", "grpc-timeout":
		return true
	}
	return strings.HasPrefix(name, ":")
}

func checkMetadata(name string, values []string) error {
	if name == "" || len(name) > maxMetadataName || strings.ContainsFunc(name, isBadNameRune) {
		return status.Errorf(codes.Internal, "metadata name %.64q: use 1 to %d of a–z 0–9 . _ -", name, maxMetadataName)
	}
	if strings.HasSuffix(name, "-bin") {
		return nil
	}
	for _, v := range values {
		if strings.ContainsFunc(v, func(r rune) bool { return r < 0x20 || r > 0x7e }) {
			return status.Errorf(codes.Internal, "metadata %q has a value that is not printable ASCII; end its name in -bin", name)
		}
	}
	return nil
}

func isBadNameRune(r rune) bool {
	return (r < 'a' || r > 'z') && (r < '0' || r > '9') && r != '.' && r != '_' && r != '-'
}
