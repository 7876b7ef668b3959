package service

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"log/slog"
	"net"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"fairlead.dev"
	"fairlead.dev/plugins/internal/convert"
	"fairlead.dev/plugins/internal/pluginpb/fairlead/plugin/v1"
	"fairlead.dev/plugins/internal/wire"
)

// attachTimeout is how long a session waits for a host to attach its data plane.
const attachTimeout = 30 * time.Second

// Bounds of what hosts can make grow.
const (
	maxSessions  = 1 << 12 // including those that are being opened
	maxDescribes = 16      // waiting calls of Describe in one session
	maxStreams   = 1 << 14 // calls of the control plane at once on one connection
	maxHandles   = 1 << 16 // open in one session
	maxListLimit = 1 << 16 // entries or messages that one call asks for
)

// Config is what a service needs.
type Config struct {
	// Open opens a backend. env has the environment variables that the URL's
	// settings name.
	Open func(ctx context.Context, url string, env map[string]string) (fairlead.Provider, error)
	Log  *slog.Logger
	// HostLost is called once, when the first open Lifetime stream has ended.
	// It is nil for a plugin that outlives its hosts.
	HostLost func()
}

// Service is the plugin's side of the protocol. Its methods may be called
// concurrently.
type Service struct {
	pluginpb.UnimplementedPluginServiceServer
	config   Config
	hostLost sync.Once

	mu       sync.Mutex
	lastID   uint64
	opening  int                 // sessions that are being opened
	sessions map[uint64]*session // nil when the service is closed
	socket   string              // the path of the frame socket; empty if there is none
	listener net.Listener
}

// New returns a service.
func New(c Config) *Service {
	return &Service{config: c, sessions: map[uint64]*session{}}
}

// ServerOptions are the options that every server of the service needs.
func ServerOptions() []grpc.ServerOption {
	return []grpc.ServerOption{
		grpc.ForceServerCodecV2(wire.Codec{}),
		grpc.MaxRecvMsgSize(wire.MaxFrame), grpc.MaxSendMsgSize(wire.MaxFrame),
		grpc.InitialWindowSize(1 << 20), grpc.InitialConnWindowSize(4 << 20),
		grpc.MaxConcurrentStreams(maxStreams),
	}
}

// Open implements the protocol.
func (s *Service) Open(ctx context.Context, req *pluginpb.OpenRequest) (*pluginpb.OpenResponse, error) {
	if err := s.reserveSession(); err != nil {
		return nil, StatusError(err)
	}
	defer s.releaseReserved()
	p, err := s.config.Open(ctx, req.Url, req.Environment)
	if err != nil {
		return nil, StatusError(err)
	}
	d, err := p.Describe(ctx)
	if err == nil {
		var se *session
		if se, err = s.startSession(p); err == nil {
			return &pluginpb.OpenResponse{
				Session: se.id, Token: se.token, Socket: s.socketPath(), Description: convert.FromDescription(d),
			}, nil
		}
	}
	_ = p.Close(context.WithoutCancel(ctx))
	return nil, StatusError(err)
}

// reserveSession keeps room for a session that is being opened.
func (s *Service) reserveSession() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.sessions)+s.opening >= maxSessions {
		return fairlead.Errorf(fairlead.Unavailable, "the plugin has %d sessions, the most that it holds; close providers that are not used", maxSessions)
	}
	s.opening++
	return nil
}

func (s *Service) releaseReserved() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.opening--
}

func (s *Service) startSession(p fairlead.Provider) (*session, error) {
	token := make([]byte, 32)
	_, _ = rand.Read(token) // never fails
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.sessions == nil {
		return nil, fairlead.Errorf(fairlead.Unavailable, "the plugin is ending")
	}
	s.lastID++
	se := newSession(s.lastID, token, p, s.config.Log)
	s.sessions[se.id] = se
	se.attachTimer = time.AfterFunc(attachTimeout, func() {
		if !se.attached.Swap(true) {
			_ = s.endSession(context.Background(), se.id)
		}
	})
	return se, nil
}

func (s *Service) socketPath() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.socket
}

// findSession returns a session to the host that has its token. Numbers of
// sessions can be guessed.
func (s *Service) findSession(id uint64, token []byte) (*session, error) {
	s.mu.Lock()
	se, ok := s.sessions[id]
	s.mu.Unlock()
	switch {
	case !ok:
		return nil, fairlead.Errorf(fairlead.Closed, "the plugin has no session %d", id)
	case subtle.ConstantTimeCompare(se.token, token) != 1:
		return nil, fairlead.Errorf(fairlead.PermissionDenied, "the token does not belong to session %d", id)
	}
	return se, nil
}

// endSession closes a session, if there is one with this id. The session stays in
// the map until it is closed, so that Shutdown waits for it.
func (s *Service) endSession(ctx context.Context, id uint64) error {
	s.mu.Lock()
	se, ok := s.sessions[id]
	s.mu.Unlock()
	if !ok {
		return nil
	}
	err := se.close(ctx)
	select {
	case <-se.closed:
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.sessions, id)
	default: // another call is still closing it
	}
	return err
}

// Describe implements the protocol.
func (s *Service) Describe(ctx context.Context, req *pluginpb.DescribeRequest) (*pluginpb.DescribeResponse, error) {
	se, err := s.findSession(req.Session, req.Token)
	if err != nil {
		return nil, StatusError(err)
	}
	defer se.describing.Add(-1)
	if se.describing.Add(1) > maxDescribes {
		return nil, StatusError(fairlead.Errorf(fairlead.Unavailable, "%d calls of Describe wait in the session already; a host needs one", maxDescribes))
	}
	d, err := se.provider.Await(ctx, req.Generation)
	if err != nil {
		return nil, StatusError(err)
	}
	return &pluginpb.DescribeResponse{Description: convert.FromDescription(d)}, nil
}

// Close implements the protocol.
func (s *Service) Close(ctx context.Context, req *pluginpb.CloseRequest) (*pluginpb.CloseResponse, error) {
	_, err := s.findSession(req.Session, req.Token)
	if fairlead.CodeOf(err) == fairlead.Closed {
		return &pluginpb.CloseResponse{}, nil // it has ended already
	}
	if err == nil {
		err = s.endSession(ctx, req.Session)
	}
	if err != nil {
		return nil, StatusError(err)
	}
	return &pluginpb.CloseResponse{}, nil
}

// Lifetime implements the protocol.
func (s *Service) Lifetime(stream grpc.BidiStreamingServer[pluginpb.LifetimeRequest, pluginpb.LifetimeResponse]) error {
	if err := stream.Send(&pluginpb.LifetimeResponse{}); err != nil {
		return err
	}
	for {
		if _, err := stream.Recv(); err != nil {
			break
		}
	}
	if s.config.HostLost != nil {
		s.hostLost.Do(s.config.HostLost)
	}
	return nil
}

// Exchange implements the protocol.
func (s *Service) Exchange(stream grpc.BidiStreamingServer[pluginpb.ExchangeRequest, pluginpb.ExchangeResponse]) error {
	return s.serveConn(stream.Context(), wire.StreamConn(stream))
}

// serveConn attaches a connection to its session and carries out the calls that
// arrive on it. The session ends with the connection.
func (s *Service) serveConn(ctx context.Context, conn wire.PluginConn) error {
	f, err := receiveFirst(conn)
	if err != nil {
		return err
	}
	se, err := s.attachSession(f.Attach)
	if err != nil {
		_ = conn.Send(&pluginpb.ExchangeResponse{End: convert.FromError(err)})
		return StatusError(err)
	}
	defer s.endSession(context.WithoutCancel(ctx), se.id)
	if err := conn.Send(&pluginpb.ExchangeResponse{}); err != nil {
		return err
	}
	return wire.Serve(se.life, conn, se.route)
}

// receiveFirst receives the first frame of a connection. It gives up after
// attachTimeout: the connection then ends.
func receiveFirst(conn wire.PluginConn) (*pluginpb.ExchangeRequest, error) {
	type received struct {
		frame *pluginpb.ExchangeRequest
		err   error
	}
	first := make(chan received, 1)
	go func() { // ends with the connection at the latest
		f, err := conn.Recv()
		first <- received{f, err}
	}()
	late := time.NewTimer(attachTimeout)
	defer late.Stop()
	select {
	case r := <-first:
		return r.frame, r.err
	case <-late.C:
		return nil, StatusError(fairlead.Errorf(fairlead.DeadlineExceeded, "no attach came within %v", attachTimeout))
	}
}

func (s *Service) attachSession(a *pluginpb.Attach) (*session, error) {
	if a == nil {
		return nil, fairlead.Errorf(fairlead.Invalid, "the first frame of a connection must have an attach")
	}
	se, err := s.findSession(a.Session, a.Token)
	if err != nil {
		return nil, err
	}
	if !se.markAttached() {
		return nil, fairlead.Errorf(fairlead.Conflict, "session %d is attached already", a.Session)
	}
	return se, nil
}

// Shutdown refuses new sessions and closes the open ones. It returns the first
// error.
func (s *Service) Shutdown(ctx context.Context) error {
	s.mu.Lock()
	sessions, listener := s.sessions, s.listener
	s.sessions = nil
	s.mu.Unlock()
	if listener != nil {
		listener.Close()
	}
	var wg sync.WaitGroup
	var first error
	var once sync.Once
	for _, se := range sessions {
		wg.Go(func() {
			if err := se.close(ctx); err != nil {
				once.Do(func() { first = err })
			}
		})
	}
	wg.Wait()
	return first
}

// StatusError returns an error as a gRPC status whose detail is an Error message.
func StatusError(err error) error {
	e := convert.FromError(err)
	s := status.New(codes.Unknown, e.Message)
	if detailed, err := s.WithDetails(e); err == nil {
		s = detailed
	}
	return s.Err()
}
