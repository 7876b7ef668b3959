package rpc_test

import (
	"testing"

	"google.golang.org/grpc"
	pb "google.golang.org/grpc/interop/grpc_testing"
)

// BenchmarkUnary compares a call over the memory provider with one of grpc-go
// over a connection in memory.
func BenchmarkUnary(b *testing.B) {
	for name, dial := range map[string]func(testing.TB, pb.TestServiceServer) grpc.ClientConnInterface{
		"fairlead": func(t testing.TB, impl pb.TestServiceServer) grpc.ClientConnInterface { return dialMemory(t, impl) },
		"grpc-go":  func(t testing.TB, impl pb.TestServiceServer) grpc.ClientConnInterface { return dialGRPC(t, impl) },
	} {
		c := pb.NewTestServiceClient(dial(b, &service{unary: echo}))
		in := &pb.SimpleRequest{Payload: payload(100)}
		b.Run(name+"/1", func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := c.UnaryCall(b.Context(), in); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run(name+"/64", func(b *testing.B) {
			b.SetParallelism(32)
			b.ReportAllocs()
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					if _, err := c.UnaryCall(b.Context(), in); err != nil {
						b.Error(err)
						return
					}
				}
			})
		})
	}
}
