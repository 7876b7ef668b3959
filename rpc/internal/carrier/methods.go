package carrier

import "google.golang.org/grpc"

// method is a registered method: its implementation, and a handler that takes a
// stream, whatever the kind of the method.
type method struct {
	impl    any
	desc    *grpc.StreamDesc
	handler grpc.StreamHandler
	unary   *grpc.MethodDesc // nil unless the method is unary
}

// RegisterService implements [transport.Server].
func (s *Server) RegisterService(desc *grpc.ServiceDesc, impl any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range desc.Methods {
		m := &desc.Methods[i]
		stream := &grpc.StreamDesc{StreamName: m.MethodName}
		s.methods[fullMethod(desc, m.MethodName)] = method{impl, stream, s.unaryHandler(m), m}
	}
	for i := range desc.Streams {
		stream := &desc.Streams[i]
		name := fullMethod(desc, stream.StreamName)
		s.methods[name] = method{impl, stream, s.streamHandler(name, stream), nil}
	}
}

func fullMethod(desc *grpc.ServiceDesc, method string) string {
	return "/" + desc.ServiceName + "/" + method
}

// unaryHandler adapts a unary method to a stream of one message in each
// direction.
func (s *Server) unaryHandler(m *grpc.MethodDesc) grpc.StreamHandler {
	return func(impl any, stream grpc.ServerStream) error {
		reply, err := m.Handler(impl, stream.Context(), stream.RecvMsg, s.unary)
		if err != nil {
			return err
		}
		return stream.SendMsg(reply)
	}
}

func (s *Server) streamHandler(name string, desc *grpc.StreamDesc) grpc.StreamHandler {
	if s.stream == nil {
		return desc.Handler
	}
	info := &grpc.StreamServerInfo{
		FullMethod:     name,
		IsClientStream: desc.ClientStreams,
		IsServerStream: desc.ServerStreams,
	}
	return func(impl any, stream grpc.ServerStream) error {
		return s.stream(impl, stream, info, desc.Handler)
	}
}
