package transport

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"sync"

	"google.golang.org/grpc"
)

// Services records the services of a server. It refuses mistakes of the program
// with a panic, as gRPC does. All methods may be called concurrently.
type Services struct {
	mu     sync.Mutex
	frozen bool // the server listens, or was stopped
	infos  map[string]grpc.ServiceInfo
	// values holds the services whose methods are added one by one. It is nil
	// once they were taken.
	values map[string]*grpc.ServiceDesc
}

// NewServices returns an empty record.
func NewServices() *Services {
	return &Services{infos: map[string]grpc.ServiceInfo{}, values: map[string]*grpc.ServiceDesc{}}
}

// AddService records a service. It panics if the server listens already, if the
// service is recorded already, or if impl does not implement it.
func (s *Services) AddService(desc *grpc.ServiceDesc, impl any) {
	checkImplementation(desc, impl)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.frozen {
		panic(fmt.Sprintf("rpc: RegisterService(%q) was called after Listen, Serve or Stop", desc.ServiceName))
	}
	_, registered := s.infos[desc.ServiceName]
	if _, handled := s.values[desc.ServiceName]; registered || handled {
		panic(fmt.Sprintf("rpc: service %q is registered twice", desc.ServiceName))
	}
	s.infos[desc.ServiceName] = serviceInfo(desc)
}

func serviceInfo(desc *grpc.ServiceDesc) grpc.ServiceInfo {
	info := grpc.ServiceInfo{Metadata: desc.Metadata}
	for _, m := range desc.Methods {
		info.Methods = append(info.Methods, grpc.MethodInfo{Name: m.MethodName})
	}
	for _, m := range desc.Streams {
		info.Methods = append(info.Methods, grpc.MethodInfo{
			Name: m.StreamName, IsClientStream: m.ClientStreams, IsServerStream: m.ServerStreams,
		})
	}
	return info
}

func checkImplementation(desc *grpc.ServiceDesc, impl any) {
	if impl == nil || desc.HandlerType == nil {
		return // as in gRPC: the description may be written by hand
	}
	want := reflect.TypeOf(desc.HandlerType).Elem()
	if !reflect.TypeOf(impl).Implements(want) {
		panic(fmt.Sprintf("rpc: RegisterService(%q): %T does not implement %v", desc.ServiceName, impl, want))
	}
}

// AddMethod records one unary method of a service whose methods are added one by
// one. It panics if the server listens already, if the method is recorded
// already, or if the service was recorded as a whole.
func (s *Services) AddMethod(service string, m grpc.MethodDesc) {
	s.mu.Lock()
	defer s.mu.Unlock()
	desc := s.values[service]
	duplicate := desc != nil && slices.ContainsFunc(desc.Methods, func(o grpc.MethodDesc) bool { return o.MethodName == m.MethodName })
	if _, registered := s.infos[service]; s.values == nil || duplicate || registered {
		panic(fmt.Sprintf("rpc: Handle(%q) was called after Listen, Serve or Stop, or the method is handled already, or its service is registered as a whole", service+"/"+m.MethodName))
	}
	if desc == nil {
		desc = &grpc.ServiceDesc{ServiceName: service}
		s.values[service] = desc
	}
	desc.Methods = append(desc.Methods, m)
}

// TakeMethods returns the services whose methods were added one by one, by name.
// AddMethod panics from then on.
func (s *Services) TakeMethods() map[string]*grpc.ServiceDesc {
	s.mu.Lock()
	defer s.mu.Unlock()
	values := s.values
	s.values = nil
	return values
}

// Freeze makes AddService panic from now on.
func (s *Services) Freeze() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.frozen = true
}

// Has reports whether a service is recorded.
func (s *Services) Has(service string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, ok := s.infos[service]
	return ok
}

// Infos returns a copy of the record, by the names of the services.
func (s *Services) Infos() map[string]grpc.ServiceInfo {
	s.mu.Lock()
	defer s.mu.Unlock()
	return maps.Clone(s.infos)
}
