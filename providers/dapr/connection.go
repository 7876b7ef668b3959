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
	"fairlead.dev/providers/grpcsent"
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
	if c.token != nil {
		options = append(options, grpc.WithPerRPCCredentials(token(c.token.Reveal())))
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

// connHandler counts connections. Its base reports when a request is sent.
type connHandler struct {
	grpcsent.Handler
	connections atomic.Int64
}

// HandleConn implements [stats.Handler].
func (h *connHandler) HandleConn(_ context.Context, s stats.ConnStats) {
	if _, ok := s.(*stats.ConnBegin); ok {
		h.connections.Add(1)
	}
}

// explainEnd converts the error of a request. If the request ended because the
// provider was closed or ctx ended, it returns that.
func (p *provider) explainEnd(ctx context.Context, err error) error {
	err = convertError(err, false)
	switch fairlead.CodeOf(err) {
	case fairlead.Canceled, fairlead.DeadlineExceeded, fairlead.Unavailable:
		if end := p.life.Check(ctx); end != nil {
			return end
		}
	}
	return err
}
