package rpc_test

import (
	"encoding/binary"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc"
	pb "google.golang.org/grpc/interop/grpc_testing"

	"fairlead.dev/internal/dev/check"
	"fairlead.dev/internal/dev/testbed"
)

var soak = flag.Duration("soak", 2*time.Second, "how long the streams of TestSoak last")

const (
	soakStreams = 64
	// soakBound is the growth of the heap at which TestSoak fails, in bytes: four
	// times the windows of all streams, because the heap holds garbage too.
	soakBound = 4 * soakStreams * 2 << 20
)

// TestSoak sends on 64 streams at once, in both directions, for the time of the
// flag -soak; one reader is slow. No message is lost, duplicated or out of order,
// and memory stays bounded. The backends are real.
func TestSoak(t *testing.T) {
	for name, url := range map[string]func() string{
		"memory":    func() string { return "mem://" },
		"directory": func() string { return directoryURL },
		"redis":     func() string { return testbed.Redis(t).URL() },
		"etcd":      func() string { return testbed.Etcd(t).URL() },
		"nats":      func() string { return testbed.NATS(t).URL() },
		"dapr": func() string {
			s := testbed.Dapr(t, testbed.DaprInMemory(), testbed.DaprApp("test"), testbed.DaprAppPort(testbed.Port(t)))
			return s.URL() + "?pubsub=-&app=test"
		},
	} {
		t.Run(name, func(t *testing.T) {
			p := open(t, url())
			serve(t, p, "test", &service{duplex: bounce})
			c := pb.NewTestServiceClient(dial(t, p, "test"))
			peak := watchHeap(t)
			var all sync.WaitGroup
			var messages, slow, sent atomic.Int64
			end := time.Now().Add(*soak)
			for i := range soakStreams {
				stream, err := c.FullDuplexCall(t.Context())
				check.NoError(t, err)
				count := &messages
				if i == 0 {
					count = &slow
				}
				all.Go(func() { sent.Add(sendUntil(t, stream, end)) })
				all.Go(func() {
					if err := readAll(stream, i == 0, end, count); err != nil {
						t.Errorf("stream %d: %v", i, err)
					}
				})
			}
			all.Wait()
			grown := peak()
			if got := messages.Load() + slow.Load(); got != sent.Load() {
				t.Errorf("%d messages were sent, %d were received", sent.Load(), got)
			}
			t.Logf("%d messages and %d of the slow stream in %v; the heap grew by %d MiB", messages.Load(), slow.Load(), *soak, grown>>20)
			if grown > soakBound {
				t.Errorf("the heap grew by %d MiB", grown>>20)
			}
		})
	}
}

// sendUntil sends numbered messages of many sizes, and returns their number.
func sendUntil(t *testing.T, stream grpc.BidiStreamingClient[pb.StreamingOutputCallRequest, pb.StreamingOutputCallResponse], end time.Time) (n int64) {
	for ; time.Now().Before(end); n++ {
		body := binary.BigEndian.AppendUint64(make([]byte, 0, 4096), uint64(n))
		body = body[:8+rand.N(4000)]
		if err := stream.Send(&pb.StreamingOutputCallRequest{Payload: &pb.Payload{Body: body}}); err != nil {
			t.Errorf("sending message %d: %v", n, err)
			return n
		}
	}
	if err := stream.CloseSend(); err != nil {
		t.Errorf("closing: %v", err)
	}
	return n
}

// readAll checks that the numbers are consecutive. A slow reader stops being slow
// at the end time.
func readAll(stream grpc.BidiStreamingClient[pb.StreamingOutputCallRequest, pb.StreamingOutputCallResponse], slow bool, end time.Time, count *atomic.Int64) error {
	for want := uint64(0); ; want++ {
		if slow && time.Now().Before(end) {
			time.Sleep(10 * time.Millisecond)
		}
		m, err := stream.Recv()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return fmt.Errorf("message %d: %w", want, err)
		}
		if got := binary.BigEndian.Uint64(m.Payload.Body); got != want {
			return fmt.Errorf("got message %d, want %d", got, want)
		}
		count.Add(1)
	}
}

// watchHeap watches the size of the heap until the function that it returns is
// called. That function returns the largest growth, in bytes.
func watchHeap(t *testing.T) func() uint64 {
	t.Helper()
	heap := func() uint64 {
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	runtime.GC()
	before, peak := heap(), uint64(0)
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		tick := time.NewTicker(50 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				peak = max(peak, heap())
			case <-stop:
				return
			}
		}
	}()
	return func() uint64 {
		close(stop)
		<-stopped
		return peak - min(peak, before)
	}
}
