package dapr

import (
	"context"
	"math"
	"sync/atomic"
	"time"

	runtimev1 "github.com/dapr/dapr/pkg/proto/runtime/v1"
	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/stats"

	"fairlead.dev"
	"fairlead.dev/rpc/driver"
)

const (
	// pingAfter is how long a connection may be silent during a call before it
	// is tested. gRPC accepts no shorter time; a sidecar accepts at most one
	// ping in eight seconds.
	pingAfter   = 10 * time.Second
	pingTimeout = 2 * time.Second
	// reconnectAfter is the longest pause before the next attempt to connect.
	reconnectAfter = time.Second
	dialTimeout    = 2 * time.Second

	// How many bytes a stream and a connection may have under way. Without these
	// limits gRPC grows the window of each stream up to 16 MiB, and keeps small
	// messages in buffers of four times their size.
	streamWindow = driver.Window
	connWindow   = 8 << 20
)

// connect creates the connection. gRPC establishes it when it is first used.
func (p *provider) connect() (err error) {
	p.conn, err = grpc.NewClient("passthrough:///"+p.config.host, p.config.dialOptions(&p.prober.connHandler)...)
	if err != nil {
		return invalid("the sidecar cannot be dialed: %w", err)
	}
	p.client = runtimev1.NewDaprClient(p.conn)
	return nil
}

func (c config) dialOptions(handler stats.Handler) []grpc.DialOption {
	security := insecure.NewCredentials()
	if c.tls != nil {
		security = credentials.NewTLS(c.tls)
	}
	options := []grpc.DialOption{
		grpc.WithTransportCredentials(security),
		grpc.WithConnectParams(grpc.ConnectParams{
			Backoff:           backoff.Config{BaseDelay: 50 * time.Millisecond, Multiplier: 1.6, Jitter: 0.2, MaxDelay: reconnectAfter},
			MinConnectTimeout: dialTimeout,
		}),
		grpc.WithKeepaliveParams(keepalive.ClientParameters{Time: pingAfter, Timeout: pingTimeout}),
		grpc.WithStatsHandler(handler),
		grpc.WithDisableRetry(),
		grpc.WithDisableServiceConfig(),
		grpc.WithIdleTimeout(0),
		grpc.WithInitialWindowSize(streamWindow), grpc.WithInitialConnWindowSize(connWindow),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(math.MaxInt32)),
	}
	if c.token != "" {
		options = append(options, grpc.WithPerRPCCredentials(token(c.token)))
	}
	return options
}

// token is the sidecar's API token, which is sent with every call.
type token string

func (t token) GetRequestMetadata(context.Context, ...string) (map[string]string, error) {
	return map[string]string{"dapr-api-token": string(t)}, nil
}

// RequireTransportSecurity returns false: a sidecar serves plain gRPC to the
// program beside it.
func (token) RequireTransportSecurity() bool { return false }

// sentKey is the context key of the flag that HandleRPC sets.
type sentKey struct{}

// connHandler counts connections. It sets the flag of a call when gRPC has taken
// the request for sending. Before that the sidecar cannot have seen the request.
type connHandler struct{ connections atomic.Int64 }

// TagRPC implements [stats.Handler].
func (*connHandler) TagRPC(ctx context.Context, _ *stats.RPCTagInfo) context.Context { return ctx }

// HandleRPC implements [stats.Handler].
func (*connHandler) HandleRPC(ctx context.Context, s stats.RPCStats) {
	if _, ok := s.(*stats.OutPayload); !ok {
		return
	}
	if flag, ok := ctx.Value(sentKey{}).(*atomic.Bool); ok {
		flag.Store(true)
	}
}

// TagConn implements [stats.Handler].
func (*connHandler) TagConn(ctx context.Context, _ *stats.ConnTagInfo) context.Context { return ctx }

// HandleConn implements [stats.Handler].
func (h *connHandler) HandleConn(_ context.Context, s stats.ConnStats) {
	if _, ok := s.(*stats.ConnBegin); ok {
		h.connections.Add(1)
	}
}

// callRead makes a call that changes nothing. The request-timeout bounds it.
func (p *provider) callRead(ctx context.Context, f func(context.Context) error) error {
	bounded, cancel := context.WithTimeout(ctx, p.config.requestTimeout)
	defer cancel()
	return p.explainEnd(ctx, bounded, convertError(f(bounded), false))
}

// callWrite makes a call that writes. The request-timeout bounds it. If no
// answer comes, the outcome is unknown, unless the request was not sent.
func (p *provider) callWrite(ctx context.Context, f func(context.Context) error) error {
	bounded, cancel := context.WithTimeout(ctx, p.config.requestTimeout)
	defer cancel()
	var sent atomic.Bool
	err := f(context.WithValue(bounded, sentKey{}, &sent))
	return p.explainEnd(ctx, bounded, convertError(err, sent.Load()))
}

// explainEnd returns the error of a call that ended early: because the caller's
// context ctx ended, because the provider was closed, or because bounded, the
// context of the call, timed out. The sidecar knows the deadline too, and may
// report it first.
func (p *provider) explainEnd(ctx, bounded context.Context, err error) error {
	code := fairlead.CodeOf(err)
	switch {
	case code == fairlead.UnknownOutcome && p.life.Err() != nil:
		return fairlead.Errorf(fairlead.Closed, "the provider was closed during the write, whose outcome is unknown")
	case code != fairlead.Canceled && code != fairlead.DeadlineExceeded && code != fairlead.Unavailable:
		return err
	case ctx.Err() != nil:
		return fairlead.ContextError(ctx)
	case p.life.Err() != nil:
		return errProviderClosed
	case code == fairlead.Unavailable:
		return err
	}
	limit, _ := bounded.Deadline()
	if own, ok := ctx.Deadline(); ok && !limit.Before(own) {
		return fairlead.Errorf(fairlead.DeadlineExceeded, "%w", context.DeadlineExceeded)
	}
	return fairlead.Errorf(fairlead.Unavailable, "no answer within %v, the \"request-timeout\"", p.config.requestTimeout)
}
