package rpc_test

import (
	"fmt"
	"net"
	"slices"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	pb "google.golang.org/grpc/interop/grpc_testing"
)

// dialers are the ways that the benchmarks compare.
var dialers = map[string]func(testing.TB, pb.TestServiceServer) grpc.ClientConnInterface{
	"memory":       func(t testing.TB, impl pb.TestServiceServer) grpc.ClientConnInterface { return dialMemory(t, impl) },
	"frames":       func(t testing.TB, impl pb.TestServiceServer) grpc.ClientConnInterface { return dialFrames(t, impl) },
	"directory":    func(t testing.TB, impl pb.TestServiceServer) grpc.ClientConnInterface { return dialDirectory(t, impl) },
	"grpc-bufconn": func(t testing.TB, impl pb.TestServiceServer) grpc.ClientConnInterface { return dialGRPC(t, impl) },
	"grpc-tcp":     dialTCP,
}

// dialTCP is grpc-go alone, over TCP.
func dialTCP(t testing.TB, impl pb.TestServiceServer) grpc.ClientConnInterface {
	t.Helper()
	lis, err := net.Listen("tcp", "127.0.0.1:0")
	check(t, err)
	srv := grpc.NewServer()
	pb.RegisterTestServiceServer(srv, impl)
	go func() { _ = srv.Serve(lis) }()
	t.Cleanup(srv.Stop)
	conn, err := grpc.NewClient("passthrough:///"+lis.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	check(t, err)
	t.Cleanup(func() { check(t, conn.Close()) })
	return conn
}

// BenchmarkUnary is unary calls with 256 bytes each way.
func BenchmarkUnary(b *testing.B) {
	for name, dial := range dialers {
		c := pb.NewTestServiceClient(dial(b, &service{unary: echo}))
		in := &pb.SimpleRequest{Payload: payload(256)}
		for _, callers := range []int{1, 64} {
			b.Run(fmt.Sprintf("%s/%d", name, callers), func(b *testing.B) {
				b.ReportAllocs()
				calls(b, c, in, callers, b.N)
			})
		}
	}
}

// calls makes n calls by so many callers, and returns how long it took.
func calls(b *testing.B, c pb.TestServiceClient, in *pb.SimpleRequest, callers, n int) time.Duration {
	start := time.Now()
	var all sync.WaitGroup
	for range callers {
		all.Go(func() {
			for range max(1, n/callers) {
				if _, err := c.UnaryCall(b.Context(), in); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	all.Wait()
	return time.Since(start)
}

// BenchmarkRatio takes turns between two ways, since only what is measured in
// one run can be compared: x-rate is the median of the ratios of their rates,
// above 1 where the first way is faster.
func BenchmarkRatio(b *testing.B) {
	for _, pair := range [][2]string{{"memory", "grpc-bufconn"}, {"frames", "grpc-bufconn"}, {"directory", "grpc-tcp"}} {
		first := pb.NewTestServiceClient(dialers[pair[0]](b, &service{unary: echo}))
		second := pb.NewTestServiceClient(dialers[pair[1]](b, &service{unary: echo}))
		in := &pb.SimpleRequest{Payload: payload(256)}
		for _, callers := range []int{1, 64} {
			b.Run(fmt.Sprintf("%s-to-%s/%d", pair[0], pair[1], callers), func(b *testing.B) {
				const chunk = 2048
				var ratios []float64
				for b.Loop() {
					ours, theirs := calls(b, first, in, callers, chunk), calls(b, second, in, callers, chunk)
					ratios = append(ratios, float64(theirs)/float64(ours))
				}
				slices.Sort(ratios)
				b.ReportMetric(ratios[len(ratios)/2], "x-rate")
			})
		}
	}
}
