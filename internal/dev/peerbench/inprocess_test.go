package peerbench

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/fullstorydev/grpchan/inprocgrpc"
	pb "google.golang.org/grpc/interop/grpc_testing"

	"fairlead.dev"
	_ "fairlead.dev/providers/memory"
	"fairlead.dev/rpc"
)

type service struct {
	pb.UnimplementedTestServiceServer
}

func (service) UnaryCall(_ context.Context, in *pb.SimpleRequest) (*pb.SimpleResponse, error) {
	return &pb.SimpleResponse{Payload: in.Payload}, nil
}

// BenchmarkInProcess is unary calls within a process, of 256 bytes each way,
// by turns with the memory provider and with grpchan's inprocgrpc. x-rate is the
// median ratio of their rates in neighbouring turns; above 1, the memory provider
// is faster.
func BenchmarkInProcess(b *testing.B) {
	grpchan := &inprocgrpc.Channel{}
	pb.RegisterTestServiceServer(grpchan, service{})
	ours, theirs := memory(b), pb.NewTestServiceClient(grpchan)
	for _, callers := range []int{1, 64} {
		b.Run(fmt.Sprint(callers), func(b *testing.B) { ratio(b, ours, theirs, callers) })
	}
}

func memory(b *testing.B) pb.TestServiceClient {
	p, err := fairlead.Open(b.Context(), "mem://")
	must(b, err)
	b.Cleanup(func() { must(b, p.Close(context.Background())) })
	srv, err := rpc.NewServer(b.Context(), p, "test")
	must(b, err)
	pb.RegisterTestServiceServer(srv, service{})
	must(b, srv.Listen(b.Context()))
	served := make(chan error, 1)
	go func() { served <- srv.Serve(context.Background()) }()
	b.Cleanup(func() {
		srv.Stop()
		must(b, <-served)
	})
	conn, err := rpc.Dial(b.Context(), p, "test")
	must(b, err)
	b.Cleanup(func() { must(b, conn.Close(context.Background())) })
	return pb.NewTestServiceClient(conn)
}

func ratio(b *testing.B, ours, theirs pb.TestServiceClient, callers int) {
	const chunk = 4096
	calls(b, ours, callers, chunk)
	calls(b, theirs, callers, chunk)
	var ratios []float64
	for b.Loop() {
		var o, t time.Duration
		if len(ratios)%2 == 0 { // so that neither always runs first
			o, t = calls(b, ours, callers, chunk), calls(b, theirs, callers, chunk)
		} else {
			t, o = calls(b, theirs, callers, chunk), calls(b, ours, callers, chunk)
		}
		ratios = append(ratios, float64(t)/float64(o))
	}
	slices.Sort(ratios)
	b.ReportMetric(ratios[len(ratios)/2], "x-rate")
	b.ReportMetric(0, "ns/op") // the time of a pair of turns has no meaning
}

// calls makes n calls by so many callers, and returns how long it took.
func calls(b *testing.B, c pb.TestServiceClient, callers, n int) time.Duration {
	in := &pb.SimpleRequest{Payload: &pb.Payload{Body: make([]byte, 256)}}
	start := time.Now()
	var all sync.WaitGroup
	for range callers {
		all.Go(func() {
			for range n / callers {
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

func must(b *testing.B, err error) {
	b.Helper()
	if err != nil {
		b.Fatal(err)
	}
}
