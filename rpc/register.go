package rpc

import (
	"fmt"
	"reflect"

	"google.golang.org/grpc"
)

// method is a registered method: its implementation, and how to call it with
// a stream, whatever its kind.
type method struct {
	impl    any
	desc    *grpc.StreamDesc
	handler grpc.StreamHandler
}

// RegisterService implements [grpc.ServiceRegistrar]; generated code calls
// it. As in gRPC it is called before Serve, and a mistake of the program
// (after Listen or Serve, a service twice, an implementation of the wrong
// type) is fatal: it panics.
func (s *Server) RegisterService(desc *grpc.ServiceDesc, impl any) {
	checkImplementation(desc, impl)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.listener != nil || s.stopping {
		panic(fmt.Sprintf("rpc: RegisterService(%q) after Listen, Serve or Stop", desc.ServiceName))
	}
	if s.services[desc.ServiceName] {
		panic(fmt.Sprintf("rpc: service %q is registered twice", desc.ServiceName))
	}
	s.services[desc.ServiceName] = true
	for i := range desc.Methods {
		m := &desc.Methods[i]
		sd := &grpc.StreamDesc{StreamName: m.MethodName}
		s.methods[fullName(desc, m.MethodName)] = method{impl, sd, s.unaryHandler(m)}
	}
	for i := range desc.Streams {
		sd := &desc.Streams[i]
		s.methods[fullName(desc, sd.StreamName)] = method{impl, sd, s.streamHandler(fullName(desc, sd.StreamName), sd)}
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
func (s *Server) unaryHandler(m *grpc.MethodDesc) grpc.StreamHandler {
	return func(impl any, stream grpc.ServerStream) error {
		reply, err := m.Handler(impl, stream.Context(), stream.RecvMsg, s.unary)
		if err != nil {
			return err
		}
		return stream.SendMsg(reply)
	}
}

func (s *Server) streamHandler(fullMethod string, desc *grpc.StreamDesc) grpc.StreamHandler {
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
