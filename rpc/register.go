package rpc

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"sync"

	"google.golang.org/grpc"
)

// method is a registered method: its implementation, and how to call it with
// a stream, whatever its kind.
type method struct {
	impl    any
	desc    *grpc.StreamDesc
	handler grpc.StreamHandler
	unary   *grpc.MethodDesc // nil for a method of another kind
}

// registry is which services a server has.
type registry struct {
	mu       sync.Mutex
	frozen   bool // it listens, or was stopped
	services map[string]grpc.ServiceInfo
	plain    map[string]*grpc.ServiceDesc // of Handle, not registered yet
}

func newRegistry() *registry {
	return &registry{services: map[string]grpc.ServiceInfo{}, plain: map[string]*grpc.ServiceDesc{}}
}

// addPlain notes a method of a service whose methods come one by one.
func (r *registry) addPlain(service string, m grpc.MethodDesc) {
	r.mu.Lock()
	defer r.mu.Unlock()
	desc := r.plain[service]
	twice := desc != nil && slices.ContainsFunc(desc.Methods, func(o grpc.MethodDesc) bool { return o.MethodName == m.MethodName })
	if _, generated := r.services[service]; r.plain == nil || twice || generated {
		panic(fmt.Sprintf("rpc: Handle(%q) after Listen, Serve or Stop, twice, or of a service that is registered as a whole", service+"/"+m.MethodName))
	}
	if desc == nil {
		desc = &grpc.ServiceDesc{ServiceName: service}
		r.plain[service] = desc
	}
	desc.Methods = append(desc.Methods, m)
}

// add notes a service. It panics if it comes too late or twice.
func (r *registry) add(desc *grpc.ServiceDesc) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.frozen {
		panic(fmt.Sprintf("rpc: RegisterService(%q) after Listen, Serve or Stop", desc.ServiceName))
	}
	_, twice := r.services[desc.ServiceName]
	if _, plain := r.plain[desc.ServiceName]; twice || plain {
		panic(fmt.Sprintf("rpc: service %q is registered twice", desc.ServiceName))
	}
	info := grpc.ServiceInfo{Metadata: desc.Metadata}
	for _, m := range desc.Methods {
		info.Methods = append(info.Methods, grpc.MethodInfo{Name: m.MethodName})
	}
	for _, m := range desc.Streams {
		info.Methods = append(info.Methods, grpc.MethodInfo{
			Name: m.StreamName, IsClientStream: m.ClientStreams, IsServerStream: m.ServerStreams,
		})
	}
	r.services[desc.ServiceName] = info
}

// takePlain returns the services whose methods came one by one, and takes no
// more of them.
func (r *registry) takePlain() map[string]*grpc.ServiceDesc {
	r.mu.Lock()
	defer r.mu.Unlock()
	plain := r.plain
	r.plain = nil
	return plain
}

// complete registers what came one by one, and then takes no more.
func (s *Server) complete() {
	s.completing.Do(func() {
		for _, desc := range s.registry.takePlain() {
			s.registry.add(desc)
			s.calls.register(desc, nil)
		}
		s.registry.freeze()
	})
}

func (r *registry) freeze() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.frozen = true
}

func (r *registry) has(service string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	_, ok := r.services[service]
	return ok
}

func (r *registry) info() map[string]grpc.ServiceInfo {
	r.mu.Lock()
	defer r.mu.Unlock()
	return maps.Clone(r.services)
}

func (s *carrierServer) register(desc *grpc.ServiceDesc, impl any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range desc.Methods {
		m := &desc.Methods[i]
		sd := &grpc.StreamDesc{StreamName: m.MethodName}
		s.methods[fullName(desc, m.MethodName)] = method{impl, sd, s.unaryHandler(m), m}
	}
	for i := range desc.Streams {
		sd := &desc.Streams[i]
		s.methods[fullName(desc, sd.StreamName)] = method{impl, sd, s.streamHandler(fullName(desc, sd.StreamName), sd), nil}
	}
}

func fullName(desc *grpc.ServiceDesc, name string) string {
	return "/" + desc.ServiceName + "/" + name
}

func checkImplementation(desc *grpc.ServiceDesc, impl any) {
	if impl == nil || desc.HandlerType == nil {
		return // as in gRPC: for those who write a description by hand
	}
	want := reflect.TypeOf(desc.HandlerType).Elem()
	if !reflect.TypeOf(impl).Implements(want) {
		panic(fmt.Sprintf("rpc: RegisterService(%q): %T does not implement %v", desc.ServiceName, impl, want))
	}
}

// unaryHandler makes of a unary method a stream of one message each way.
func (s *carrierServer) unaryHandler(m *grpc.MethodDesc) grpc.StreamHandler {
	return func(impl any, stream grpc.ServerStream) error {
		reply, err := m.Handler(impl, stream.Context(), stream.RecvMsg, s.unary)
		if err != nil {
			return err
		}
		return stream.SendMsg(reply)
	}
}

func (s *carrierServer) streamHandler(fullMethod string, desc *grpc.StreamDesc) grpc.StreamHandler {
	if s.stream == nil {
		return desc.Handler
	}
	info := &grpc.StreamServerInfo{
		FullMethod:     fullMethod,
		IsClientStream: desc.ClientStreams,
		IsServerStream: desc.ServerStreams,
	}
	return func(impl any, stream grpc.ServerStream) error {
		return s.stream(impl, stream, info, desc.Handler)
	}
}
