package carrier

import (
	"sync"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"fairlead.dev/rpc/driver"
)

// responseMetadata is the metadata that a handler sends.
type responseMetadata struct {
	mu         sync.Mutex
	headers    metadata.MD
	headerSent bool
	trailers   metadata.MD
}

// SetHeader implements [grpc.ServerStream].
func (r *responseMetadata) SetHeader(md metadata.MD) error {
	if _, err := fieldsFromMetadata(md); err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.headerSent {
		return status.Error(codes.Internal, "SetHeader after the headers were sent")
	}
	r.headers = metadata.Join(r.headers, md)
	return nil
}

func (r *responseMetadata) addTrailer(md metadata.MD) error {
	if _, err := fieldsFromMetadata(md); err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.trailers = metadata.Join(r.trailers, md)
	return nil
}

// takeHeader returns the headers, and marks them as sent. due is false if they
// were sent before, or if there are none and evenIfEmpty is false.
func (r *responseMetadata) takeHeader(evenIfEmpty bool) (fields []driver.Field, due bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.headerSent || (len(r.headers) == 0 && !evenIfEmpty) {
		return nil, false
	}
	r.headerSent = true
	fields, _ = fieldsFromMetadata(r.headers) // SetHeader has checked them
	return fields, true
}

// sentHeader returns the headers if they were sent.
func (r *responseMetadata) sentHeader() []driver.Field {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.headerSent {
		return nil
	}
	fields, _ := fieldsFromMetadata(r.headers)
	return fields
}

// trailerFields returns the trailers.
func (r *responseMetadata) trailerFields() []driver.Field {
	r.mu.Lock()
	defer r.mu.Unlock()
	fields, _ := fieldsFromMetadata(r.trailers) // addTrailer has checked them
	return fields
}
