package rpc_test

import (
	"context"
	"fmt"
	"net"
	"slices"
	"sync"
	"testing"
	"time"

	natsgo "github.com/nats-io/nats.go"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	pb "google.golang.org/grpc/interop/grpc_testing"

	"fairlead.dev/internal/dev/testbed"
)

// benchBytes go each way in a call of the benchmarks.
const benchBytes = 256

// way makes unary calls to a server of its own.
type way func(testing.TB) (call func(context.Context) error)

// ways are what the benchmarks compare.
var ways = map[string]way{
	"memory":       stub(func(t testing.TB, impl pb.TestServiceServer) grpc.ClientConnInterface { return dialMemory(t, impl) }),
	"frames":       stub(func(t testing.TB, impl pb.TestServiceServer) grpc.ClientConnInterface { return dialFrames(t, impl) }),
	"directory":    stub(func(t testing.TB, impl pb.TestServiceServer) grpc.ClientConnInterface { return dialDirectory(t, impl) }),
	"grpc-bufconn": stub(func(t testing.TB, impl pb.TestServiceServer) grpc.ClientConnInterface { return dialGRPC(t, impl) }),
	"grpc-tcp":     stub(dialTCP),
	"nats":         stub(dialNATS),
	"nats-request": requestNATS,
}

// stub calls the server that dial reaches.
func stub(dial func(testing.TB, pb.TestServiceServer) grpc.ClientConnInterface) way {
	return func(t testing.TB) func(context.Context) error {
		c := pb.NewTestServiceClient(dial(t, &service{unary: echo}))
		in := &pb.SimpleRequest{Payload: payload(benchBytes)}
		return func(ctx context.Context) error {
			_, err := c.UnaryCall(ctx, in)
			return err
		}
	}
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

// dialNATS has a connection to the broker at each end.
func dialNATS(t testing.TB, impl pb.TestServiceServer) grpc.ClientConnInterface {
	url := testbed.NATS(t).URL()
	serve(t, open(t, url), "test", impl)
	return dial(t, open(t, url), "test")
}

// requestNATS is request and reply of nats.go alone.
func requestNATS(t testing.TB) func(context.Context) error {
	t.Helper()
	url := testbed.NATS(t).URL()
	server, err := natsgo.Connect(url)
	check(t, err)
	t.Cleanup(server.Close)
	_, err = server.QueueSubscribe("echo", "servers", func(m *natsgo.Msg) { _ = m.Respond(m.Data) })
	check(t, err)
	check(t, server.Flush())
	client, err := natsgo.Connect(url)
	check(t, err)
	t.Cleanup(client.Close)
	body := make([]byte, benchBytes)
	return func(ctx context.Context) error {
		_, err := client.RequestWithContext(ctx, "echo", body)
		return err
	}
}

// BenchmarkUnary is unary calls with 256 bytes each way.
func BenchmarkUnary(b *testing.B) {
	for name, way := range ways {
		b.Run(name, func(b *testing.B) {
			call := way(b)
			for _, callers := range []int{1, 64} {
				b.Run(fmt.Sprint(callers), func(b *testing.B) {
					b.ReportAllocs()
					calls(b, call, callers, b.N)
				})
			}
		})
	}
}

// calls makes n calls by so many callers, and returns how long it took.
func calls(b *testing.B, call func(context.Context) error, callers, n int) time.Duration {
	start := time.Now()
	var all sync.WaitGroup
	for range callers {
		all.Go(func() {
			for range max(1, n/callers) {
				if err := call(b.Context()); err != nil {
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
// one run can be compared: x-rate is the median of the ratios of their rates
// over neighbouring turns, above 1 where the first way is faster.
func BenchmarkRatio(b *testing.B) {
	for _, pair := range [][2]string{
		{"memory", "grpc-bufconn"}, {"frames", "grpc-bufconn"}, {"directory", "grpc-tcp"},
		{"nats", "nats-request"}, {"nats", "grpc-tcp"},
	} {
		b.Run(pair[0]+"-to-"+pair[1], func(b *testing.B) {
			ours, theirs := ways[pair[0]](b), ways[pair[1]](b)
			for _, callers := range []int{1, 64} {
				b.Run(fmt.Sprint(callers), func(b *testing.B) { ratio(b, ours, theirs, callers) })
			}
		})
	}
}

func ratio(b *testing.B, ours, theirs func(context.Context) error, callers int) {
	chunk := 128 * max(1, callers/2)
	calls(b, ours, callers, chunk)
	calls(b, theirs, callers, chunk)
	var ratios []float64
	var rate float64
	for b.Loop() {
		var o, t time.Duration
		if len(ratios)%2 == 0 { // neither is always the first
			o, t = calls(b, ours, callers, chunk), calls(b, theirs, callers, chunk)
		} else {
			t, o = calls(b, theirs, callers, chunk), calls(b, ours, callers, chunk)
		}
		ratios = append(ratios, float64(t)/float64(o))
		rate += float64(chunk) / o.Seconds()
	}
	slices.Sort(ratios)
	b.ReportMetric(ratios[len(ratios)/2], "x-rate")
	b.ReportMetric(rate/float64(len(ratios)), "calls/s")
	b.ReportMetric(0, "ns/op") // of a pair of turns: says nothing
}
