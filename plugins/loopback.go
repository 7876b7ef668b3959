package plugins

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"path/filepath"
	"sync"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/test/bufconn"

	"fairlead.dev"
	"fairlead.dev/plugins/internal/pluginpb/fairlead/plugin/v1"
	"fairlead.dev/plugins/internal/process"
	"fairlead.dev/plugins/internal/remote"
	"fairlead.dev/plugins/internal/service"
)

// Loopback returns a provider that calls p as if p were in a plugin: all calls are
// marshalled and cross a transport, but within this process. It is for tests. The
// returned provider closes p, and Loopback closes p if it fails. The error is
// Invalid for an unknown transport.
func Loopback(ctx context.Context, p fairlead.Provider, over Transport) (fairlead.Provider, error) {
	l := &loopback{service: service.New(service.Config{
		Open: func(context.Context, string, map[string]string) (fairlead.Provider, error) { return p, nil },
		Log:  slog.Default(),
	})}
	err := over.check()
	if err == nil {
		err = l.startServer(over)
	}
	if err == nil {
		l.Provider, err = remote.New(ctx, func(ctx context.Context) (*remote.Session, error) {
			return remote.Dial(ctx, l.control, &pluginpb.OpenRequest{}, over == Frames)
		}, slog.Default())
	}
	if err != nil {
		return nil, errors.Join(err, l.stopServer(ctx), p.Close(ctx))
	}
	return l, nil
}

// Close implements [fairlead.Provider].
func (l *loopback) Close(ctx context.Context) (err error) {
	l.closing.Do(func() { err = errors.Join(l.Provider.Close(ctx), l.stopServer(ctx)) })
	return err
}

// loopback is a plugin in this process.
type loopback struct {
	remote.Provider
	service *service.Service
	server  *grpc.Server
	control *grpc.ClientConn
	dir     *process.SocketDir // nil without a frame socket

	closing sync.Once
}

func (l *loopback) startServer(over Transport) (err error) {
	if over == Frames {
		if l.dir, err = process.NewSocketDir(""); err != nil {
			return err
		}
		if err := l.service.ListenFrames(filepath.Join(l.dir.Path, "frames.sock")); err != nil {
			return err
		}
	}
	listener := bufconn.Listen(1 << 20)
	l.server = grpc.NewServer(service.ServerOptions()...)
	pluginpb.RegisterPluginServiceServer(l.server, l.service)
	go l.server.Serve(listener) // returns nil after Stop
	l.control, err = grpc.NewClient("passthrough:loopback", append(remote.DialOptions(),
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return listener.DialContext(ctx) }))...)
	return err
}

func (l *loopback) stopServer(ctx context.Context) error {
	err := l.service.Shutdown(ctx)
	if l.control != nil {
		err = errors.Join(err, l.control.Close())
	}
	if l.server != nil {
		l.server.Stop()
	}
	if l.dir != nil {
		l.dir.Remove()
	}
	return err
}
