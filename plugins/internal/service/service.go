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

// attachWithin is how long a session waits for its data plane.
const attachWithin = 30 * time.Second

// Config is what a service needs.
type Config struct {
	// Open opens a backend; the variables are those that the URL's settings
	// name.
	Open func(ctx context.Context, url string, env map[string]string) (fairlead.Provider, error)
	Log  *slog.Logger
	// HostLost is called once when a Lifetime stream that was open has ended.
	// Nil for a plugin that outlives its hosts.
	HostLost func()
}

// Service is the plugin's side of the protocol. Its methods may be called
// concurrently.
type Service struct {
	pluginpb.UnimplementedPluginServiceServer
	config   Config
	hostLost sync.Once

	mu       sync.Mutex
	last     uint64
	sessions map[uint64]*session // nil when the service is closed
	socket   string
	listener net.Listener
}

// New returns a service.
func New(c Config) *Service {
	return &Service{config: c, sessions: map[uint64]*session{}}
}

// ServerOptions are what every server of the service needs.
func ServerOptions() []grpc.ServerOption {
	return []grpc.ServerOption{
		grpc.ForceServerCodecV2(wire.Codec{}),
		grpc.MaxRecvMsgSize(wire.MaxFrame), grpc.MaxSendMsgSize(wire.MaxFrame),
		grpc.InitialWindowSize(1 << 20), grpc.InitialConnWindowSize(4 << 20),
	}
}

// Open implements the protocol.
func (s *Service) Open(ctx context.Context, req *pluginpb.OpenRequest) (*pluginpb.OpenResponse, error) {
	p, err := s.config.Open(ctx, req.Url, req.Environment)
	if err != nil {
		return nil, Status(err)
	}
	d, err := p.Describe(ctx)
	if err == nil {
		var se *session
		if se, err = s.begin(p); err == nil {
			return &pluginpb.OpenResponse{
				Session: se.id, Token: se.token, Socket: s.socketPath(), Description: convert.FromDescription(d),
			}, nil
		}
	}
	_ = p.Close(context.WithoutCancel(ctx))
	return nil, Status(err)
}

func (s *Service) begin(p fairlead.Provider) (*session, error) {
	token := make([]byte, 32)
	_, _ = rand.Read(token) // never fails
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.sessions == nil {
		return nil, fairlead.Errorf(fairlead.Unavailable, "the plugin is being closed")
	}
	s.last++
	se := newSession(s.last, token, p, s.config.Log)
	s.sessions[se.id] = se
	se.unattached = time.AfterFunc(attachWithin, func() {
		if !se.attached.Swap(true) {
			_ = s.end(context.Background(), se.id)
		}
	})
	return se, nil
}

func (s *Service) socketPath() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.socket
}

func (s *Service) session(id uint64) (*session, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if se, ok := s.sessions[id]; ok {
		return se, nil
	}
	return nil, fairlead.Errorf(fairlead.Closed, "the plugin has no session %d", id)
}

// end closes a session, if it is there. It is until it is closed: Shutdown waits
// for it.
func (s *Service) end(ctx context.Context, id uint64) error {
	s.mu.Lock()
	se, ok := s.sessions[id]
	s.mu.Unlock()
	if !ok {
		return nil
	}
	err := se.close(ctx)
	select {
	case <-se.ended:
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.sessions, id)
	default: // somebody else closes it still
	}
	return err
}

// Describe implements the protocol.
func (s *Service) Describe(ctx context.Context, req *pluginpb.DescribeRequest) (*pluginpb.DescribeResponse, error) {
	se, err := s.session(req.Session)
	if err != nil {
		return nil, Status(err)
	}
	d, err := se.provider.Await(ctx, req.Generation)
	if err != nil {
		return nil, Status(err)
	}
	return &pluginpb.DescribeResponse{Description: convert.FromDescription(d)}, nil
}

// Close implements the protocol.
func (s *Service) Close(ctx context.Context, req *pluginpb.CloseRequest) (*pluginpb.CloseResponse, error) {
	if err := s.end(ctx, req.Session); err != nil {
		return nil, Status(err)
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
	return s.serve(stream.Context(), wire.StreamConn(stream))
}

// serve attaches a connection to its session and carries out its calls. The
// session ends with it.
func (s *Service) serve(ctx context.Context, conn wire.PluginConn) error {
	f, err := conn.Recv()
	if err != nil {
		return err
	}
	se, err := s.attach(f.Attach)
	if err != nil {
		_ = conn.Send(&pluginpb.ExchangeResponse{End: convert.FromError(err)})
		return Status(err)
	}
	defer s.end(context.WithoutCancel(ctx), se.id)
	if err := conn.Send(&pluginpb.ExchangeResponse{}); err != nil {
		return err
	}
	return wire.Serve(se.life, conn, se.handle)
}

func (s *Service) attach(a *pluginpb.Attach) (*session, error) {
	if a == nil {
		return nil, fairlead.Errorf(fairlead.Invalid, "the first frame has no attach")
	}
	se, err := s.session(a.Session)
	if err != nil {
		return nil, err
	}
	if subtle.ConstantTimeCompare(se.token, a.Token) != 1 {
		return nil, fairlead.Errorf(fairlead.PermissionDenied, "the token is not that of session %d", a.Session)
	}
	if !se.attach() {
		return nil, fairlead.Errorf(fairlead.Conflict, "session %d was attached already", a.Session)
	}
	return se, nil
}

// Shutdown refuses new sessions and closes those that there are.
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

// Status returns an error as a gRPC status with an Error as its detail.
func Status(err error) error {
	e := convert.FromError(err)
	s := status.New(codes.Unknown, e.Message)
	if detailed, err := s.WithDetails(e); err == nil {
		s = detailed
	}
	return s.Err()
}
