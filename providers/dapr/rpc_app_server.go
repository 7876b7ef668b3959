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
	"fairlead.dev/providers"
	"fairlead.dev/rpc/driver"
)

// appServers are the servers of this process, by port. The providers of one
// sidecar share the port of its app.
var appServers = struct {
	sync.Mutex
	byPort map[int]*appServer
}{byPort: map[int]*appServer{}}

// appServer serves the calls that sidecars pass on to the app on a port.
type appServer struct {
	port int
	grpc *grpc.Server
	done chan struct{} // closed when Serve has returned

	mu        sync.Mutex
	users     map[*provider]bool     // the providers that have listened; guarded by appServers
	listeners map[string][]*listener // by service; calls go to them in turn
}

// appServer returns the server on the app's port. It lives until the provider
// closes.
func (p *provider) appServer(port int) (*appServer, error) {
	appServers.Lock()
	defer appServers.Unlock()
	s := appServers.byPort[port]
	if s == nil {
		l, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
		if err != nil {
			return nil, fairlead.Errorf(fairlead.Unavailable, "the app's port, as the sidecar reports it, cannot be opened: %w", err)
		}
		s = newAppServer(port)
		appServers.byPort[port] = s
		go func() {
			defer close(s.done)
			_ = s.grpc.Serve(l) // it returns after Stop
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

// releaseAppServers ends the servers that only this provider uses, and its
// listeners.
func (p *provider) releaseAppServers() {
	appServers.Lock()
	defer appServers.Unlock()
	for port, s := range appServers.byPort {
		if !s.users[p] {
			continue
		}
		delete(s.users, p)
		s.closeListeners(p)
		if len(s.users) == 0 {
			delete(appServers.byPort, port)
			s.grpc.Stop()
			<-s.done
		}
	}
}

// closeListeners closes the listeners of a provider.
func (s *appServer) closeListeners(p *provider) {
	for _, l := range s.allListeners() {
		if l.p == p {
			_ = l.Close(context.Background())
		}
	}
}

func (s *appServer) allListeners() (all []*listener) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, ls := range s.listeners {
		all = append(all, ls...)
	}
	return all
}

// handle handles all calls.
func (s *appServer) handle(_ any, stream grpc.ServerStream) error {
	method, _ := grpc.MethodFromServerStream(stream)
	md, _ := metadata.FromIncomingContext(stream.Context())
	if strings.HasPrefix(method, "/dapr.proto.") {
		return status.Error(codes.Unimplemented, "the app implements no callbacks of the runtime")
	}
	e := &serverEnd{callEnd: callEnd{credit: driver.Window, onEnd: func() {}}, stream: stream}
	defer context.AfterFunc(stream.Context(), e.endByClient)()
	in := driver.Incoming{Call: driver.Call{Method: method, Metadata: fromMetadata(md)}, Stream: e}
	if deadline, ok := stream.Context().Deadline(); ok {
		in.Call.Timeout = max(1, time.Until(deadline))
	}
	if len(md.Get(wholeHeader)) > 0 {
		e.receive() // all messages are on their way: this takes no goroutine
	} else {
		go e.receive()
	}
	l := s.nextListener(md.Get(serviceHeader))
	if l == nil || !l.backlog.Add(in) {
		return refuseUnserved(stream)
	}
	return e.run(l)
}

// refuseUnserved refuses a call in a way that the client end recognizes.
func refuseUnserved(stream grpc.ServerStream) error {
	stream.SetTrailer(metadata.Pairs(unservedTrailer, "1"))
	return status.Error(codes.Unavailable, "no server listens for the service")
}

// nextListener returns the listener whose turn it is. The call of a client other
// than Fairlead names no service: it goes to the only service there is.
func (s *appServer) nextListener(service []string) *listener {
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
	l := &listener{p: p, server: s, service: service, backlog: providers.NewBacklog[driver.Incoming](p.life.Child("listener"))}
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
