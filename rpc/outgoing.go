package rpc

import (
	"sync"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"fairlead.dev/rpc/driver"
)

// outgoing is the metadata that a handler sends.
type outgoing struct {
	mu         sync.Mutex
	headers    metadata.MD
	headerSent bool
	trailers   metadata.MD
}

// SetHeader implements [grpc.ServerStream].
func (o *outgoing) SetHeader(md metadata.MD) error {
	if _, err := toFields(md); err != nil {
		return err
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.headerSent {
		return status.Error(codes.Internal, "SetHeader after the headers were sent")
	}
	o.headers = metadata.Join(o.headers, md)
	return nil
}

func (o *outgoing) addTrailer(md metadata.MD) error {
	if _, err := toFields(md); err != nil {
		return err
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.trailers = metadata.Join(o.trailers, md)
	return nil
}

// takeHeader returns the headers, marked as sent. They are not due if they were
// sent before, or if there are none and they are not needed.
func (o *outgoing) takeHeader(needed bool) (fields []driver.Field, due bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.headerSent || (len(o.headers) == 0 && !needed) {
		return nil, false
	}
	o.headerSent = true
	fields, _ = toFields(o.headers) // SetHeader has checked them
	return fields, true
}

// sentHeader returns the headers if they were sent.
func (o *outgoing) sentHeader() []driver.Field {
	o.mu.Lock()
	defer o.mu.Unlock()
	if !o.headerSent {
		return nil
	}
	fields, _ := toFields(o.headers)
	return fields
}

func (o *outgoing) takeTrailer() []driver.Field {
	o.mu.Lock()
	defer o.mu.Unlock()
	fields, _ := toFields(o.trailers) // addTrailer has checked them
	return fields
}
