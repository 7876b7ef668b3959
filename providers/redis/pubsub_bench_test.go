package redis_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"fairlead.dev/internal/dev/check"
	"fairlead.dev/internal/dev/testbed"
	"fairlead.dev/pubsub/driver"
)

// BenchmarkPubSubAgainstGoRedis publishes, receives and acknowledges, alternately
// through the driver and with the commands of a program without it: XADD,
// XREADGROUP, XACK. x-goredis is the rate of the driver divided by the rate of go-redis.
func BenchmarkPubSubAgainstGoRedis(b *testing.B) {
	for _, size := range []int{1, 64} {
		b.Run(fmt.Sprintf("batch=%d", size), func(b *testing.B) { benchPubSub(b, size) })
	}
}

func benchPubSub(b *testing.B, size int) {
	server := testbed.Redis(b)
	tt := newTopicTest(b, server)
	ours := driverRound(tt, size)
	raw := rawRound(b, testbed.RedisClient(b, server), size)
	ours() // load the scripts
	raw()
	var took [2]time.Duration
	for b.Loop() {
		took[0] += timed(raw)
		took[1] += timed(ours)
	}
	perSecond := func(d time.Duration) float64 { return float64(b.N*size) / d.Seconds() }
	b.ReportMetric(perSecond(took[0]), "goredis-msgs/s")
	b.ReportMetric(perSecond(took[1]), "msgs/s")
	b.ReportMetric(took[0].Seconds()/took[1].Seconds(), "x-goredis")
}

func timed(f func()) time.Duration {
	began := time.Now()
	f()
	return time.Since(began)
}

const benchBody = 256

func driverRound(t topicTest, size int) func() {
	topic, s := t.topic(), t.subscribe(group)
	msgs := make([]driver.Message, size)
	for i := range msgs {
		msgs[i].Body = make([]byte, benchBody)
	}
	return func() {
		t.send(topic, msgs...)
		t.ack(s, t.receive(s, size)...)
	}
}

func rawRound(b *testing.B, c *goredis.Client, size int) func() {
	ctx := context.Background()
	check.NoError(b, c.XGroupCreateMkStream(ctx, "raw", "g", "0").Err())
	body := make([]byte, benchBody)
	return func() {
		_, err := c.Pipelined(ctx, func(p goredis.Pipeliner) error {
			for range size {
				p.XAdd(ctx, &goredis.XAddArgs{Stream: "raw", Values: []any{"b", body}})
			}
			return nil
		})
		check.NoError(b, err)
		got, err := c.XReadGroup(ctx, &goredis.XReadGroupArgs{
			Group: "g", Consumer: "c", Streams: []string{"raw", ">"}, Count: int64(size),
		}).Result()
		check.NoError(b, err)
		ids := make([]string, len(got[0].Messages))
		for i, m := range got[0].Messages {
			ids[i] = m.ID
		}
		check.NoError(b, c.XAck(ctx, "raw", "g", ids...).Err())
	}
}
