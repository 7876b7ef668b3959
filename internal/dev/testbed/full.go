package testbed

import (
	"context"
	"errors"
	"fmt"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/redis/go-redis/v9"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
)

// fillerName is the name of what Fill stores on a server.
const fillerName = "testbed-filler"

// Fill makes the server refuse every command that needs memory, as one does that
// has reached its maxmemory with the policy noeviction.
func (s *RedisServer) Fill(ctx context.Context) error { return s.setMaxMemory(ctx, "1") }

// Free takes the limit away.
func (s *RedisServer) Free(ctx context.Context) error { return s.setMaxMemory(ctx, "0") }

func (s *RedisServer) setMaxMemory(ctx context.Context, bytes string) error {
	return s.Do(ctx, func(ctx context.Context, c *redis.Client) error {
		return c.ConfigSet(ctx, "maxmemory", bytes).Err()
	})
}

// NATSStorage limits the storage of JetStream, for a server that is to be filled:
// "16MB".
func NATSStorage(limit string) NATSOption {
	return func(c *natsConfig) error {
		c.storage = limit
		return nil
	}
}

// Fill stores messages until JetStream refuses the smallest. Start the server with
// NATSStorage.
func (s *NATSServer) Fill(ctx context.Context) error {
	return s.jetStreamDo(ctx, func(js jetstream.JetStream) error {
		_, err := js.CreateOrUpdateStream(ctx, jetstream.StreamConfig{Name: fillerName, Subjects: []string{fillerName}})
		for size := 256 << 10; err == nil; {
			_, err = js.Publish(ctx, fillerName, make([]byte, size))
			if api := (*jetstream.APIError)(nil); errors.As(err, &api) && size > 1 {
				size, err = size/16, nil
			}
		}
		if api := (*jetstream.APIError)(nil); errors.As(err, &api) {
			return nil
		}
		return err
	})
}

// Free removes what Fill stored.
func (s *NATSServer) Free(ctx context.Context) error {
	return s.jetStreamDo(ctx, func(js jetstream.JetStream) error {
		err := js.DeleteStream(ctx, fillerName)
		if errors.Is(err, jetstream.ErrStreamNotFound) {
			return nil
		}
		return err
	})
}

func (s *NATSServer) jetStreamDo(ctx context.Context, do func(jetstream.JetStream) error) error {
	c, err := nats.Connect(s.URL())
	if err != nil {
		return err
	}
	defer c.Close()
	js, err := jetstream.New(c)
	if err == nil {
		err = do(js)
	}
	if err != nil {
		return fmt.Errorf("testbed: %w", err)
	}
	return nil
}

// EtcdQuota limits the size of the database, for a server that is to be filled.
func EtcdQuota(bytes int64) EtcdOption {
	return EtcdArgs(fmt.Sprintf("--quota-backend-bytes=%d", bytes))
}

// Fill stores keys until the server raises the alarm NOSPACE. Start it with
// EtcdQuota.
func (s *EtcdServer) Fill(ctx context.Context) error {
	return s.clientDo(func(c *clientv3.Client) error {
		value := string(make([]byte, 512<<10))
		for i := 0; ; i++ {
			_, err := c.Put(ctx, fmt.Sprintf("%s/%d", fillerName, i), value)
			if errors.Is(err, rpctypes.ErrNoSpace) {
				return nil
			}
			if err != nil {
				return err
			}
		}
	})
}

// Free does what an operator does: it deletes what Fill stored, compacts,
// defragments and disarms the alarm.
func (s *EtcdServer) Free(ctx context.Context) error {
	return s.clientDo(func(c *clientv3.Client) error {
		deleted, err := c.Delete(ctx, fillerName+"/", clientv3.WithPrefix())
		if err != nil {
			return err
		}
		_, err = c.Compact(ctx, deleted.Header.Revision, clientv3.WithCompactPhysical())
		if err != nil && !errors.Is(err, rpctypes.ErrCompacted) {
			return err
		}
		if _, err := c.Defragment(ctx, c.Endpoints()[0]); err != nil {
			return err
		}
		_, err = c.AlarmDisarm(ctx, &clientv3.AlarmMember{})
		return err
	})
}

func (s *EtcdServer) clientDo(do func(*clientv3.Client) error) error {
	c, err := s.Client()
	if err != nil {
		return err
	}
	if err := errors.Join(do(c), c.Close()); err != nil {
		return fmt.Errorf("testbed: %w", err)
	}
	return nil
}
