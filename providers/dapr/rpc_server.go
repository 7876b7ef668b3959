package dapr

import (
	"context"
	"math"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"fairlead.dev"
	"fairlead.dev/rpc/driver"
)

// appServers are the servers of this process by their ports. Providers of one
// sidecar share the port of its app.
var appServers = struct {
	sync.Mutex
	byPort map[int]*appServer
}{byPort: map[int]*appServer{}}

// appServer takes the calls that sidecars pass on to the app on a port.
type appServer struct {
	port int
	grpc *grpc.Server
	done chan struct{} // closed when it has ended

	mu        sync.Mutex
	users     map[*provider]bool     // those that have listened; guarded by appServers
	listeners map[string][]*listener // by service; they take turns
}

// appServer returns the server on the app's port, which lives until the
// provider closes.
func (p *provider) appServer(port int) (*appServer, error) {
	appServers.Lock()
	defer appServers.Unlock()
	s := appServers.byPort[port]
	if s == nil {
		l, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
		if err != nil {
			return nil, fairlead.Errorf(fairlead.Unavailable, "the app's port, as the sidecar has it, cannot be served: %w", err)
		}
		s = newAppServer(port)
		appServers.byPort[port] = s
		go func() {
			defer close(s.done)
			_ = s.grpc.Serve(l) // it ends with Stop
		}()
	}
	s.users[p] = true
	return s, nil
}

func newAppServer(port int) *appServer {
	s := &appServer{port: port, done: make(chan struct{}), users: map[*provider]bool{}, listeners: map[string][]*listener{}}
	s.grpc = grpc.NewServer(
		grpc.ForceServerCodecV2(rawCodec{}), grpc.UnknownServiceHandler(s.handle),
		grpc.MaxRecvMsgSize(math.MaxInt32), grpc.MaxSendMsgSize(math.MaxInt32),
		grpc.InitialWindowSize(streamWindow), grpc.InitialConnWindowSize(connWindow),
	)
	return s
}

// stopServing ends what a closed provider has served.
func (p *provider) stopServing() {
	appServers.Lock()
	defer appServers.Unlock()
	for port, s := range appServers.byPort {
		if !s.users[p] {
			continue
		}
		delete(s.users, p)
		s.dropAll(p)
		if len(s.users) == 0 {
			delete(appServers.byPort, port)
			s.grpc.Stop()
			<-s.done
		}
	}
}

// dropAll closes the listeners of a provider.
func (s *appServer) dropAll(p *provider) {
	for _, l := range s.all() {
		if l.p == p {
			_ = l.Close(context.Background())
		}
	}
}

func (s *appServer) all() (all []*listener) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, ls := range s.listeners {
		all = append(all, ls...)
	}
	return all
}

// handle is the handler of all calls.
func (s *appServer) handle(_ any, stream grpc.ServerStream) error {
	method, _ := grpc.MethodFromServerStream(stream)
	md, _ := metadata.FromIncomingContext(stream.Context())
	if strings.HasPrefix(method, "/dapr.proto.") {
		return status.Error(codes.Unimplemented, "the app takes no callbacks of the runtime")
	}
	e := &serverEnd{bridge: bridge{credit: driver.Window, onEnd: func() {}}, stream: stream}
	defer context.AfterFunc(stream.Context(), e.left)()
	in := driver.Incoming{Call: driver.Call{Method: method, Metadata: fromMetadata(md)}, Stream: e}
	if deadline, ok := stream.Context().Deadline(); ok {
		in.Call.Timeout = max(1, time.Until(deadline))
	}
	if len(md.Get(wholeHeader)) > 0 {
		e.receive() // which does not take long, and needs no goroutine of its own
	} else {
		go e.receive()
	}
	l := s.next(md.Get(serviceHeader))
	if l == nil || !l.offer(in) {
		return unserved(stream)
	}
	return e.run(l)
}

// unserved refuses a call in a way that the client's end understands.
func unserved(stream grpc.ServerStream) error {
	stream.SetTrailer(metadata.Pairs(unservedTrailer, "1"))
	return status.Error(codes.Unavailable, "no server listens for the service")
}

// next returns the listener whose turn it is. A call by another client than
// ours names no service: it is for the only one.
func (s *appServer) next(service []string) *listener {
	s.mu.Lock()
	defer s.mu.Unlock()
	name := strings.Join(service, "")
	if len(service) == 0 && len(s.listeners) == 1 {
		for only := range s.listeners {
			name = only
		}
	}
	ls := s.listeners[name]
	if len(ls) == 0 {
		return nil
	}
	s.listeners[name] = append(slices.Clone(ls[1:]), ls[0])
	return ls[0]
}

func (s *appServer) listen(p *provider, service string) *listener {
	l := &listener{p: p, server: s, service: service}
	l.life, l.end = context.WithCancel(p.life)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.listeners[service] = append(s.listeners[service], l)
	return l
}

func (s *appServer) remove(l *listener) {
	s.mu.Lock()
	defer s.mu.Unlock()
	left := slices.DeleteFunc(slices.Clone(s.listeners[l.service]), func(o *listener) bool { return o == l })
	if s.listeners[l.service] = left; len(left) == 0 {
		delete(s.listeners, l.service)
	}
}
