package redis_test

import (
	"context"

	goredis "github.com/redis/go-redis/v9"
)

// operator does with commands of Redis what other programs do.
type operator struct{ client *goredis.Client }

func (o operator) PurgeTopic(ctx context.Context, topic string) error {
	return o.client.XTrimMaxLen(ctx, "fairlead:ps:{"+topic+"}:stream", 0).Err()
}

func (o operator) InsertMessage(ctx context.Context, topic string) error {
	return o.client.XAdd(ctx, &goredis.XAddArgs{Stream: "fairlead:ps:{" + topic + "}:stream", Values: []any{"foreign", "\xff"}}).Err()
}

func (o operator) ReplaceValue(ctx context.Context, store, key string) error {
	return o.client.Set(ctx, "fairlead:kv:{"+store+"}:k:"+key, "foreign", 0).Err()
}
