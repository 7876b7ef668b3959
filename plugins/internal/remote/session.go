package remote

import (
	"context"
	"log/slog"

	"google.golang.org/grpc"

	"fairlead.dev/plugins/internal/pluginpb/fairlead/plugin/v1"
	"fairlead.dev/plugins/internal/wire"
	"fairlead.dev/providers"
)

// Session is one opening of a backend in a plugin.
type Session struct {
	ID          uint64
	Control     pluginpb.PluginServiceClient
	Link        *wire.Link
	Description *pluginpb.Description
}

// Dial opens the backend through a control connection and attaches the data
// plane: over the socket that the plugin offers if sockets is true, else over
// a gRPC stream.
func Dial(ctx context.Context, control grpc.ClientConnInterface, req *pluginpb.OpenRequest, sockets bool) (*Session, error) {
	panic("being written")
}

// New returns a provider over the sessions that open makes.
func New(ctx context.Context, open func(context.Context) (*Session, error), log *slog.Logger) (providers.Provider, error) {
	panic("being written")
}

// DialOptions are what every control connection needs.
func DialOptions() []grpc.DialOption { return nil }
