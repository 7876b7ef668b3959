package process

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"os"
	"sync"
	"sync/atomic"

	"github.com/hashicorp/go-hclog"
	goplugin "github.com/hashicorp/go-plugin"
	"google.golang.org/grpc"
)

const (
	// SocketDirEnv names the folder in which a plugin makes its sockets.
	SocketDirEnv = "FAIRLEAD_SOCKET_DIR"

	cookieKey, cookieValue = "FAIRLEAD_PLUGIN", "provider"
	logLevelEnv            = "FAIRLEAD_LOG_LEVEL"
	pluginName             = "provider"
)

func handshakeConfig() goplugin.HandshakeConfig {
	return goplugin.HandshakeConfig{MagicCookieKey: cookieKey, MagicCookieValue: cookieValue}
}

// service is the one plugin of go-plugin's set. The host makes its own
// connection.
type grpcPlugin struct {
	goplugin.NetRPCUnsupportedPlugin
	register func(grpc.ServiceRegistrar)
}

// GRPCServer implements goplugin.GRPCPlugin.
func (s grpcPlugin) GRPCServer(_ *goplugin.GRPCBroker, g *grpc.Server) error {
	s.register(g)
	return nil
}

// GRPCClient implements goplugin.GRPCPlugin.
func (s grpcPlugin) GRPCClient(context.Context, *goplugin.GRPCBroker, *grpc.ClientConn) (any, error) {
	return nil, errors.New("go-plugin's client is not used")
}

// Launched reports whether a host has launched this process.
func Launched() bool { return os.Getenv(cookieKey) == cookieValue }

// LogLevel is the least level that the host wants; Info if it does not say.
func LogLevel() slog.Level {
	l, _ := parseLevel(os.Getenv(logLevelEnv))
	return l
}

// Serve is the plugin's side of a launch: it serves until the context ends, and
// then cuts off what still runs, and ends what the plugin has started and what
// is in its process group. hostGone is called when the host has ended, which
// the Lifetime stream tells as well. From the first call on, os.Stdout is
// os.Stderr.
func Serve(ctx context.Context, register func(grpc.ServiceRegistrar), hostGone func(), opts ...grpc.ServerOption) {
	var gone atomic.Bool
	go awaitHostEnd(os.Stdin, func() {
		gone.Store(true)
		hostGone()
	})
	defer func() {
		_ = os.Remove(os.Getenv(SocketDirEnv)) // the host does it, if it can
		endProcessGroup(gone.Load())
	}()
	stderr := os.Stderr
	var once sync.Once
	restore := func() { once.Do(func() { os.Stdout, os.Stderr = stderr, stderr }) }
	goplugin.Serve(&goplugin.ServeConfig{
		HandshakeConfig:  handshakeConfig(),
		VersionedPlugins: map[int]goplugin.PluginSet{Version: {pluginName: grpcPlugin{register: register}}},
		Logger:           hclog.New(&hclog.LoggerOptions{Level: hclog.Error, Output: stderr, JSONFormat: true}),
		GRPCServer: func(tls []grpc.ServerOption) *grpc.Server {
			s := grpc.NewServer(append(append(tls, interceptCalls(restore)...), opts...)...)
			context.AfterFunc(ctx, s.Stop)
			return s
		},
	})
}

// beforeCalls makes a server call f before each of its calls. go-plugin puts
// pipes in place of os.Stdout and os.Stderr before it takes the first one; a
// host that does not read them would block whoever prints.
func interceptCalls(f func()) []grpc.ServerOption {
	return []grpc.ServerOption{
		grpc.ChainUnaryInterceptor(func(ctx context.Context, req any, _ *grpc.UnaryServerInfo, h grpc.UnaryHandler) (any, error) {
			f()
			return h(ctx, req)
		}),
		grpc.ChainStreamInterceptor(func(srv any, s grpc.ServerStream, _ *grpc.StreamServerInfo, h grpc.StreamHandler) error {
			f()
			return h(srv, s)
		}),
	}
}

// awaitEnd calls f when the pipe ends that the host holds open. A standard
// input that is no pipe is not the host's.
func awaitHostEnd(stdin *os.File, f func()) {
	if info, err := stdin.Stat(); err != nil || info.Mode()&os.ModeNamedPipe == 0 {
		return
	}
	_, _ = io.Copy(io.Discard, stdin)
	f()
}
