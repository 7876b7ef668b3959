package plugins_test

import (
	"context"
	"testing"

	"fairlead.dev"
	"fairlead.dev/kv"
	"fairlead.dev/plugins"
)

// BenchmarkLoopback measures the cost of the plugin protocol without the switch
// between processes: the time of all processors and the allocations per call.
func BenchmarkLoopback(b *testing.B) {
	for _, over := range []plugins.Transport{plugins.Frames, plugins.Stream} {
		b.Run(string(over), func(b *testing.B) {
			ctx := context.Background()
			direct, err := fairlead.Open(ctx, "mem://")
			if err != nil {
				b.Fatal(err)
			}
			p, err := plugins.Loopback(ctx, direct, over)
			if err != nil {
				b.Fatal(err)
			}
			defer p.Close(ctx)
			s, err := kv.Open(ctx, p, "bench")
			if err != nil {
				b.Fatal(err)
			}
			defer s.Close(ctx)
			if _, err := s.Put(ctx, "k", make([]byte, 256)); err != nil {
				b.Fatal(err)
			}
			b.ReportAllocs()
			b.SetParallelism(32)
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					if _, err := s.Get(ctx, "k"); err != nil {
						b.Error(err)
						return
					}
				}
			})
		})
	}
}
