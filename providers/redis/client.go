package redis

import (
	"context"
	"time"

	goredis "github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"
)

// waitersPoolSize bounds the connections on which watchers and subscriptions
// wait. Each of them holds one connection while it waits.
const waitersPoolSize = 10_000

// clientOptions returns the options of a client. The vendor's own retries are
// off: they would apply a write twice if its reply was lost. The protocol is
// RESP2, so that no call has to check for pushed messages.
//
// The read timeout is longer than the timeout of our calls, whose deadlines must
// reach the connection unchanged: see call.go.
func (c config) clientOptions(poolSize int, timeout time.Duration, connected func()) *goredis.UniversalOptions {
	return &goredis.UniversalOptions{
		Addrs:                 c.hosts,
		DB:                    c.db,
		Username:              c.user,
		Password:              c.password.Reveal(),
		MasterName:            c.masterName,
		SentinelUsername:      c.sentinelUser,
		SentinelPassword:      c.sentinelPassword.Reveal(),
		TLSConfig:             c.tls,
		Dialer:                c.dial,
		Protocol:              2,
		DisableIdentity:       true,
		MaxRetries:            -1,
		DialerRetries:         1,
		DialTimeout:           c.dialTimeout,
		ReadTimeout:           timeout + time.Second,
		WriteTimeout:          timeout + time.Second,
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

// newClient returns a client for calls that last for timeout at most.
func (c config) newClient(poolSize int, timeout time.Duration, connected func()) goredis.UniversalClient {
	o := c.clientOptions(poolSize, timeout, connected)
	switch c.mode {
	case sentinel:
		return goredis.NewFailoverClient(o.Failover())
	case cluster:
		return goredis.NewClusterClient(o.Cluster())
	default:
		return goredis.NewClient(o.Simple())
	}
}

// primaryOf returns the client of the one server that accepts writes of key.
// Calls on it bypass the retries and redirections of the cluster client.
func primaryOf(ctx context.Context, c goredis.UniversalClient, key string) (*goredis.Client, error) {
	switch c := c.(type) {
	case *goredis.ClusterClient:
		return c.MasterForKey(ctx, key)
	default:
		return c.(*goredis.Client), nil
	}
}
