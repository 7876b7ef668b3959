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

	"fairlead.dev/internal/dev/check"
	"fairlead.dev/internal/dev/testbed"
)

// benchBytes is the size of each message in the benchmarks, in bytes.
const benchBytes = 256

// setup starts a server and returns a function that makes a unary call to it.
type setup func(testing.TB) (call func(context.Context) error)

// setups are the subjects of the benchmarks, by name.
var setups = map[string]setup{
	"memory":       stub(func(t testing.TB, impl pb.TestServiceServer) grpc.ClientConnInterface { return dialMemory(t, impl) }),
	"frames":       stub(func(t testing.TB, impl pb.TestServiceServer) grpc.ClientConnInterface { return dialFrames(t, impl) }),
	"directory":    stub(func(t testing.TB, impl pb.TestServiceServer) grpc.ClientConnInterface { return dialDirectory(t, impl) }),
	"grpc-bufconn": stub(func(t testing.TB, impl pb.TestServiceServer) grpc.ClientConnInterface { return dialGRPC(t, impl) }),
	"grpc-tcp":     stub(dialTCP),
	"nats":         stub(dialNATS),
	"nats-request": requestNATS,
}

// stub returns the setup of a generated client over the connection that dial
// returns.
func stub(dial func(testing.TB, pb.TestServiceServer) grpc.ClientConnInterface) setup {
	return func(t testing.TB) func(context.Context) error {
		c := pb.NewTestServiceClient(dial(t, &service{unary: echo}))
		in := &pb.SimpleRequest{Payload: payload(benchBytes)}
		return func(ctx context.Context) error {
			_, err := c.UnaryCall(ctx, in)
			return err
		}
	}
}

// dialTCP returns a connection of grpc-go over TCP, without Fairlead.
func dialTCP(t testing.TB, impl pb.TestServiceServer) grpc.ClientConnInterface {
	t.Helper()
	lis, err := net.Listen("tcp", "127.0.0.1:0")
	check.NoError(t, err)
	srv := grpc.NewServer()
	pb.RegisterTestServiceServer(srv, impl)
	go func() { _ = srv.Serve(lis) }()
	t.Cleanup(srv.Stop)
	conn, err := grpc.NewClient("passthrough:///"+lis.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	check.NoError(t, err)
	t.Cleanup(func() { check.NoError(t, conn.Close()) })
	return conn
}

// dialNATS gives client and server a connection to the broker each.
func dialNATS(t testing.TB, impl pb.TestServiceServer) grpc.ClientConnInterface {
	url := testbed.NATS(t).URL()
	serve(t, open(t, url), "test", impl)
	return dial(t, open(t, url), "test")
}

// requestNATS sets up request and reply of nats.go, without gRPC.
func requestNATS(t testing.TB) func(context.Context) error {
	t.Helper()
	url := testbed.NATS(t).URL()
	server, err := natsgo.Connect(url)
	check.NoError(t, err)
	t.Cleanup(server.Close)
	_, err = server.QueueSubscribe("echo", "servers", func(m *natsgo.Msg) { _ = m.Respond(m.Data) })
	check.NoError(t, err)
	check.NoError(t, server.Flush())
	client, err := natsgo.Connect(url)
	check.NoError(t, err)
	t.Cleanup(client.Close)
	body := make([]byte, benchBytes)
	return func(ctx context.Context) error {
		_, err := client.RequestWithContext(ctx, "echo", body)
		return err
	}
}

// BenchmarkUnary measures unary calls with 256 bytes in each direction.
func BenchmarkUnary(b *testing.B) {
	for name, setup := range setups {
		b.Run(name, func(b *testing.B) {
			call := setup(b)
			for _, callers := range []int{1, 64} {
				b.Run(fmt.Sprint(callers), func(b *testing.B) {
					b.ReportAllocs()
					makeCalls(b, call, callers, b.N)
				})
			}
		})
	}
}

// makeCalls makes n calls from concurrent callers, and returns the duration.
func makeCalls(b *testing.B, call func(context.Context) error, callers, n int) time.Duration {
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

// BenchmarkRatio compares two setups in turns, because only measurements of one
// run can be compared. x-rate is the median, over pairs of neighbouring turns, of
// the ratio of their rates. It is above 1 if the first setup is faster.
func BenchmarkRatio(b *testing.B) {
	for _, pair := range [][2]string{
		{"memory", "grpc-bufconn"}, {"frames", "grpc-bufconn"}, {"directory", "grpc-tcp"},
		{"nats", "nats-request"}, {"nats", "grpc-tcp"},
	} {
		b.Run(pair[0]+"-to-"+pair[1], func(b *testing.B) {
			ours, theirs := setups[pair[0]](b), setups[pair[1]](b)
			for _, callers := range []int{1, 64} {
				b.Run(fmt.Sprint(callers), func(b *testing.B) { measureRatio(b, ours, theirs, callers) })
			}
		})
	}
}

func measureRatio(b *testing.B, ours, theirs func(context.Context) error, callers int) {
	chunk := 128 * max(1, callers/2)
	makeCalls(b, ours, callers, chunk)
	makeCalls(b, theirs, callers, chunk)
	var ratios []float64
	var rate float64
	for b.Loop() {
		var o, t time.Duration
		if len(ratios)%2 == 0 { // so that neither always comes first
			o, t = makeCalls(b, ours, callers, chunk), makeCalls(b, theirs, callers, chunk)
		} else {
			t, o = makeCalls(b, theirs, callers, chunk), makeCalls(b, ours, callers, chunk)
		}
		ratios = append(ratios, float64(t)/float64(o))
		rate += float64(chunk) / o.Seconds()
	}
	slices.Sort(ratios)
	b.ReportMetric(ratios[len(ratios)/2], "x-rate")
	b.ReportMetric(rate/float64(len(ratios)), "calls/s")
	b.ReportMetric(0, "ns/op") // of a pair of turns: says nothing
}
