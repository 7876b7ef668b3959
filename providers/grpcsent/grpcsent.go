// Package grpcsent tells the kit for authors of providers when a gRPC client
// sends a request: see [providers.Calls].
package grpcsent

import (
	"context"

	"google.golang.org/grpc/stats"

	"fairlead.dev/providers"
)

// Handler is a [stats.Handler] of a client's connection. It calls
// [providers.MarkSent] as soon as gRPC has taken the request of a call for
// sending: until then the server cannot have seen it. Embed it in a handler that
// does more.
//
//	grpc.NewClient(target, grpc.WithStatsHandler(grpcsent.Handler{}), …)
type Handler struct{}

var _ stats.Handler = Handler{}

// TagRPC implements [stats.Handler].
func (Handler) TagRPC(ctx context.Context, _ *stats.RPCTagInfo) context.Context { return ctx }

// HandleRPC implements [stats.Handler].
func (Handler) HandleRPC(ctx context.Context, s stats.RPCStats) {
	if _, ok := s.(*stats.OutPayload); ok {
		providers.MarkSent(ctx)
	}
}

// TagConn implements [stats.Handler].
func (Handler) TagConn(ctx context.Context, _ *stats.ConnTagInfo) context.Context { return ctx }

// HandleConn implements [stats.Handler].
func (Handler) HandleConn(context.Context, stats.ConnStats) {}
