package process

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"

	"github.com/hashicorp/go-hclog"
	goplugin "github.com/hashicorp/go-plugin"
	"google.golang.org/grpc"
)

const (
	// SocketDirEnv is the environment variable with the folder in which a plugin
	// creates its sockets.
	SocketDirEnv = "FAIRLEAD_SOCKET_DIR"

	cookieKey, cookieValue = "FAIRLEAD_PLUGIN", "provider"
	logLevelEnv            = "FAIRLEAD_LOG_LEVEL"
	pluginName             = "provider"
)

func handshakeConfig() goplugin.HandshakeConfig {
	return goplugin.HandshakeConfig{MagicCookieKey: cookieKey, MagicCookieValue: cookieValue}
}

// grpcPlugin is the only plugin in go-plugin's set. The host makes its own
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

// LogLevel returns the lowest level that the host logs, and Info if the host does
// not say.
func LogLevel() slog.Level {
	l, _ := parseLevel(os.Getenv(logLevelEnv))
	return l
}

// Serve is the plugin's side of a launch. It serves until the context ends. It then
// cuts off the calls that still run, and ends the other processes of the plugin's
// process group. hostGone is called when standard input shows that the host has
// ended; the end of the Lifetime stream shows it as well. From the first call on,
// os.Stdout is os.Stderr.
func Serve(ctx context.Context, register func(grpc.ServiceRegistrar), hostGone func(), opts ...grpc.ServerOption) {
	nameProcess(filepath.Base(os.Args[0]))
	var gone atomic.Bool
	go awaitHostEnd(os.Stdin, func() {
		gone.Store(true)
		hostGone()
	})
	defer func() {
		_ = os.Remove(os.Getenv(SocketDirEnv)) // in case the host cannot
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

// interceptCalls makes a server call f before each of its calls. Before the first
// call, go-plugin replaces os.Stdout and os.Stderr by pipes. If the host does not
// read them, a goroutine that prints would block.
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

// awaitHostEnd calls f when the pipe on standard input ends: the host holds it open.
// It returns at once if standard input is not a pipe, since it is then not the
// host's.
func awaitHostEnd(stdin *os.File, f func()) {
	if info, err := stdin.Stat(); err != nil || info.Mode()&os.ModeNamedPipe == 0 {
		return
	}
	_, _ = io.Copy(io.Discard, stdin)
	f()
}
