package redis_test

import (
	"testing"

	"fairlead.dev/internal/dev/testbed"
	kvdriver "fairlead.dev/kv/driver"
	pubsubdriver "fairlead.dev/pubsub/driver"
)

// BenchmarkDriver measures single calls of the driver, and their allocations.
func BenchmarkDriver(b *testing.B) {
	p := open(b, testbed.Redis(b).URL()+"?probe-interval=1m") // a probe allocates, too
	s := openStore(b, p, "bench")
	topic, err := p.(pubsubdriver.Provider).OpenTopic(b.Context(), pubsubdriver.TopicConfig{Name: "bench"})
	if err != nil {
		b.Fatal(err)
	}
	value := make([]byte, 256)
	operation := func(op kvdriver.Op) func(b *testing.B) {
		return func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if r := s.Do(b.Context(), []kvdriver.Op{op}); r[0].Err != nil {
					b.Fatal(r[0].Err)
				}
			}
		}
	}
	b.Run("put", operation(kvdriver.Op{Kind: kvdriver.OpPut, Key: "k", Value: value}))
	b.Run("get", operation(kvdriver.Op{Kind: kvdriver.OpGet, Key: "k"}))
	for name, n := range map[string]int{"send/1 message": 1, "send/64 messages": 64} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			msgs := make([]pubsubdriver.Message, n)
			for i := range msgs {
				msgs[i].Body = value
			}
			for b.Loop() {
				if r := topic.Send(b.Context(), msgs); r[0].Err != nil {
					b.Fatal(r[0].Err)
				}
			}
		})
	}
}
