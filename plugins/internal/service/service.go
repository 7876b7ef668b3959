package service

import (
	"context"
	"log/slog"

	"google.golang.org/grpc"

	"fairlead.dev/plugins/internal/pluginpb/fairlead/plugin/v1"
	"fairlead.dev/providers"
)

// Config is what a service needs.
type Config struct {
	// Open opens a backend; the variables are those that the URL's settings
	// name.
	Open func(ctx context.Context, url string, env map[string]string) (providers.Provider, error)
	Log  *slog.Logger
	// HostLost is called once when a Lifetime stream that was open has ended.
	// Nil for a plugin that outlives its hosts.
	HostLost func()
}

// Service is the plugin's side of the protocol.
type Service struct {
	pluginpb.UnimplementedPluginServiceServer
}

// New returns a service.
func New(c Config) *Service { panic("being written") }

// ListenFrames offers the frame socket.
func (s *Service) ListenFrames(path string) error { panic("being written") }

// Close closes all sessions.
func (s *Service) Close(ctx context.Context) error { panic("being written") }

// ServerOptions are what every server of the service needs.
func ServerOptions() []grpc.ServerOption { return nil }
