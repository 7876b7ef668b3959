package testbed

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	clientv3 "go.etcd.io/etcd/client/v3"
)

// ContentServer is a server that can list all that it holds: what a test compares that
// must leave a server as it was. Content returns one line for each thing, sorted, and
// changes nothing.
type ContentServer interface {
	URL() string
	Content(ctx context.Context) ([]string, error)
}

// Content returns what a server holds.
func Content(tb testing.TB, s ContentServer) []string {
	tb.Helper()
	lines, err := s.Content(context.WithoutCancel(tb.Context()))
	if err != nil {
		tb.Fatal(err)
	}
	return lines
}

// WantContent fails the test unless the server holds what it held before.
func WantContent(tb testing.TB, s ContentServer, before []string) {
	tb.Helper()
	after := Content(tb, s)
	for _, line := range after {
		if !slices.Contains(before, line) {
			tb.Errorf("left on the server: %s", line)
		}
	}
	for _, line := range before {
		if !slices.Contains(after, line) {
			tb.Errorf("gone from the server: %s", line)
		}
	}
}

// Content lists the keys of the database 0. The lines of sets have the members.
func (s *RedisServer) Content(ctx context.Context) (lines []string, err error) {
	err = s.Do(ctx, func(ctx context.Context, c *redis.Client) error {
		keys := c.Scan(ctx, 0, "*", 1000).Iterator()
		for keys.Next(ctx) {
			line, err := redisLine(ctx, c, keys.Val())
			if err != nil {
				return err
			}
			lines = append(lines, line)
		}
		return keys.Err()
	})
	slices.Sort(lines)
	return slices.Compact(lines), err // SCAN may return a key twice
}

func redisLine(ctx context.Context, c *redis.Client, key string) (string, error) {
	kind, err := c.Type(ctx, key).Result()
	if err != nil || kind != "set" {
		return kind + " " + key, err
	}
	members, err := c.SMembers(ctx, key).Result()
	slices.Sort(members)
	return fmt.Sprintf("%s %s %q", kind, key, members), err
}

// Content lists the keys and the leases.
func (s *EtcdServer) Content(ctx context.Context) (lines []string, err error) {
	c, err := s.Client()
	if err != nil {
		return nil, err
	}
	defer c.Close()
	keys, err := c.Get(ctx, "", clientv3.WithPrefix())
	if err != nil {
		return nil, err
	}
	for _, kv := range keys.Kvs {
		lines = append(lines, fmt.Sprintf("key %s %q", kv.Key, kv.Value))
	}
	leases, err := c.Leases(ctx)
	if err != nil {
		return nil, err
	}
	for _, l := range leases.Leases {
		line, err := etcdLeaseLine(ctx, pb.NewLeaseClient(c.ActiveConnection()), int64(l.ID))
		if err != nil {
			return nil, err
		}
		lines = append(lines, line)
	}
	slices.Sort(lines)
	return lines, nil
}

func etcdLeaseLine(ctx context.Context, c pb.LeaseClient, id int64) (string, error) {
	l, err := c.LeaseTimeToLive(ctx, &pb.LeaseTimeToLiveRequest{ID: id, Keys: true})
	return fmt.Sprintf("lease %x of %v, of %q", id, time.Duration(l.GetGrantedTTL())*time.Second, l.GetKeys()), err
}

// Content lists the streams of all accounts with the number of their messages, and
// their consumers. Buckets are streams, too.
func (s *NATSServer) Content(ctx context.Context) (lines []string, err error) {
	page, err := httpGet(ctx, s.MonitorURL()+"/jsz?accounts=true&streams=true&consumers=true&limit=100000")
	if err != nil {
		return nil, err
	}
	var state struct {
		Accounts []struct {
			Streams []struct {
				Name  string `json:"name"`
				State struct {
					Messages int `json:"messages"`
				} `json:"state"`
				Consumers []struct {
					Name string `json:"name"`
				} `json:"consumer_detail"`
			} `json:"stream_detail"`
		} `json:"account_details"`
	}
	if err := json.Unmarshal(page, &state); err != nil {
		return nil, err
	}
	for _, a := range state.Accounts {
		for _, st := range a.Streams {
			lines = append(lines, fmt.Sprintf("stream %s with %d messages", st.Name, st.State.Messages))
			for _, c := range st.Consumers {
				lines = append(lines, strings.Join([]string{"consumer", st.Name, c.Name}, " "))
			}
		}
	}
	slices.Sort(lines)
	return lines, nil
}
