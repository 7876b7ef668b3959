package redis

import (
	"context"
	"log/slog"
	"sync"
	"time"

	goredis "github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"
)

// waitersPoolSize bounds the connections on which watchers and subscriptions
// wait. Each waiter holds one while it waits.
const waitersPoolSize = 10_000

// options are those of a client. The vendor's own retries are off: a write
// whose answer was lost would be applied twice. The protocol is RESP2, so
// that no call has to look for pushed messages.
//
// The timeout for reading is longer than that of our calls, whose deadlines are
// to reach the connection as they are: see flight.go.
func (c config) options(poolSize int, limit time.Duration, connected func()) *goredis.UniversalOptions {
	return &goredis.UniversalOptions{
		Addrs:                 c.hosts,
		DB:                    c.db,
		Username:              c.user,
		Password:              c.password,
		MasterName:            c.masterName,
		SentinelUsername:      c.sentinelUser,
		SentinelPassword:      c.sentinelPassword,
		TLSConfig:             c.tls,
		Dialer:                c.dial,
		Protocol:              2,
		DisableIdentity:       true,
		MaxRetries:            -1,
		DialerRetries:         1,
		DialTimeout:           c.dialTimeout,
		ReadTimeout:           limit + time.Second,
		WriteTimeout:          limit + time.Second,
		ContextTimeoutEnabled: true,
		PoolSize:              poolSize,
		PipelinePoolSize:      -1,
		OnConnect: func(context.Context, *goredis.Conn) error {
			connected()
			return nil
		},
		MaintNotificationsConfig: &maintnotifications.Config{Mode: maintnotifications.ModeDisabled},
	}
}

// newClient returns a client for calls that last for limit at most.
func (c config) newClient(poolSize int, limit time.Duration, connected func()) goredis.UniversalClient {
	o := c.options(poolSize, limit, connected)
	switch c.mode {
	case sentinel:
		return goredis.NewFailoverClient(o.Failover())
	case cluster:
		return goredis.NewClusterClient(o.Cluster())
	default:
		return goredis.NewClient(o.Simple())
	}
}

// primary returns the client of the one server that takes writes of key, so
// that none of the cluster client's own retries and redirections apply.
func primary(ctx context.Context, c goredis.UniversalClient, key string) (*goredis.Client, error) {
	switch c := c.(type) {
	case *goredis.ClusterClient:
		return c.MasterForKey(ctx, key)
	default:
		return c.(*goredis.Client), nil
	}
}

// vendorLog sends what go-redis has to say to slog. It is for the whole
// process: go-redis knows one logger only.
type vendorLog struct{}

func (vendorLog) Printf(ctx context.Context, format string, args ...any) {
	slog.Default().DebugContext(ctx, "go-redis", slog.Any("message", lazyText{format, args}))
}

var quietVendor = sync.OnceFunc(func() { goredis.SetLogger(vendorLog{}) })
