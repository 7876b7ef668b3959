package testbed

import (
	"context"
	"fmt"
	"strings"

	"github.com/redis/go-redis/v9"
)

// field is the value of one field of the server's INFO section.
func (s *RedisServer) field(ctx context.Context, section, name string) (value string, err error) {
	err = s.Do(ctx, func(ctx context.Context, c *redis.Client) error {
		text, err := c.Info(ctx, section).Result()
		value = lookUp(text, name)
		return err
	})
	return value, err
}

// expect fails unless a field of an INFO section has a value.
func (s *RedisServer) expect(ctx context.Context, section, name, want string) error {
	got, err := s.field(ctx, section, name)
	if err == nil && got != want {
		err = fmt.Errorf("%s is %q, want %q", name, got, want)
	}
	return err
}

// lookUp finds a "name:value" line.
func lookUp(text, name string) string {
	for line := range strings.Lines(text) {
		if k, v, _ := strings.Cut(strings.TrimSpace(line), ":"); k == name {
			return v
		}
	}
	return ""
}
