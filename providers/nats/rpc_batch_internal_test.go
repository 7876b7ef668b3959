package nats

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	natsgo "github.com/nats-io/nats.go"

	"fairlead.dev"
	"fairlead.dev/internal/dev/check"
	"fairlead.dev/internal/dev/testbed"
	"fairlead.dev/providers"
	"fairlead.dev/rpc/driver"
)

// Every gathered packet is sent once, in its order, in a batch of bounded size.
func TestOutbox(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		posted := map[string][]byte{}
		most := 0
		ctx, cancel := context.WithCancel(t.Context())
		o := newOutbox(ctx, func(to string, batch []outgoing) {
			mu.Lock()
			defer mu.Unlock()
			most = max(most, len(batch))
			bytes := 0
			for _, x := range batch {
				bytes += len(x.data)
				posted[to] = append(posted[to], x.data[0])
			}
			if len(batch) > batchCalls || len(batch) > 1 && bytes > batchBytes {
				t.Errorf("a batch of %d with %d bytes", len(batch), bytes)
			}
		})
		for i := range 100 {
			size := 1
			if i%10 == 0 {
				size = batchBytes - 2
			}
			for _, to := range []string{"a", "b"} {
				o.add(to, outgoing{data: append([]byte{byte(i)}, make([]byte, size)...)})
			}
		}
		synctest.Wait()
		for to, got := range posted {
			if len(got) != 100 || !slices.IsSorted(got) {
				t.Errorf("%v were sent to %s", got, to)
			}
		}
		if most < 2 {
			t.Error("no packets shared a message")
		}
		cancel()
		synctest.Wait()
		for range 3 { // add must not block, although no goroutine takes packets any more
			o.add("a", outgoing{data: []byte{1}})
		}
	})
}

// Calls that share a message are calls like all others. Each one is answered at its
// own address, is given back on its own, and fails on its own if no server listens.
func TestBatchedCalls(t *testing.T) {
	url := testbed.NATS(t).URL()
	client, server := openProvider(t, url), openProvider(t, url)
	open := func(n int) (streams []driver.Stream) {
		client.streams.open.Add(2) // as if others were open
		for i := range n {
			s, err := client.OpenStream(t.Context(), driver.StreamConfig{
				Service: "s", Call: driver.Call{Method: fmt.Sprint("/s/", i)}, InitialFrames: []driver.Frame{{Kind: driver.FrameHalfClose}},
			})
			check.NoError(t, err)
			client.streams.open.Add(2)
			streams = append(streams, s)
		}
		return streams
	}
	for i, s := range open(5) {
		if _, err := s.Recv(t.Context()); !errors.Is(err, fairlead.NotFound) {
			t.Errorf("call %d, for which no server listens: %v", i, err)
		}
		_ = s.Close(t.Context())
	}
	messages := make(chan *natsgo.Msg, 64)
	sub, err := server.nc.ChanSubscribe(server.serviceSubject("s"), messages)
	check.NoError(t, err)
	l, err := server.Listen(t.Context(), driver.ListenConfig{Service: "s"})
	check.NoError(t, err)
	streams := open(20)
	gone := open(1)[0]
	_ = gone.Close(t.Context())
	answered := map[string]driver.Stream{}
	for range streams {
		in, err := l.Accept(t.Context())
		check.NoError(t, err)
		answered[in.Call.Method] = in.Stream
		server.streams.open.Add(2)
		check.NoError(t, in.Stream.Send(t.Context(), []driver.Frame{{Kind: driver.FrameTrailers, Status: driver.Status{Message: in.Call.Method}}}))
		_ = in.Stream.Close(t.Context())
	}
	if len(answered) != len(streams) {
		t.Fatalf("%d calls came, want %d", len(answered), len(streams))
	}
	for i, s := range streams {
		got, err := s.Recv(t.Context())
		if err != nil || len(got) != 1 || got[0].Status.Message != fmt.Sprint("/s/", i) {
			t.Errorf("the answer to call %d: %v, %v", i, got, err)
		}
	}
	if len(messages) >= len(streams) {
		t.Errorf("%d calls took %d messages", len(streams), len(messages))
	}
	_ = sub.Unsubscribe()

	// A server that stops gives back each call.
	back := open(6)
	until := time.Now().Add(5 * time.Second)
	for l.(*listener).backlog.Len() < len(back) && time.Now().Before(until) {
		time.Sleep(time.Millisecond)
	}
	check.NoError(t, l.Close(t.Context()))
	for i, s := range back {
		if _, err := s.Recv(t.Context()); !errors.Is(err, fairlead.NotFound) {
			t.Errorf("call %d, given back: %v", i, err)
		}
	}
}

func FuzzBatch(f *testing.F) {
	f.Add("i.p._1-2", appendBytes(appendBytes(appendBytes(nil, []byte("1")), []byte("2")), []byte("data")))
	f.Add("_", []byte{3, 1})
	f.Fuzz(func(t *testing.T, reply string, body []byte) {
		eachAnswer(body, func(token, sender, data []byte) {
			if len(token)+len(sender)+len(data) > len(body) {
				t.Error("the answer is longer than the batch")
			}
		})
		eachCall(reply, body, func(client string, _ []byte) {
			if !strings.HasPrefix(client, prefixOf(reply)) {
				t.Errorf("%q is not an address of the process of %q", client, reply)
			}
		})
	})
}

// No packet overtakes an answer that waits to share a message: after the answer,
// the end sends neither heartbeats nor credits.
func TestNothingOvertakesAnAnswer(t *testing.T) {
	p := &provider{life: providers.NewLifetime("provider"), nc: testbedConn(t)}
	c := newCarrier(p)
	c.answers = newOutbox(t.Context(), func(string, []outgoing) {}) // never sends the answer
	c.answers.start.Do(func() {})
	c.open.Store(2)
	s := &stream{c: c, server: true, peer: "_INBOX.client.1", address: c.prefix + "1"}
	check.NoError(t, s.Send(t.Context(), []driver.Frame{{Kind: driver.FrameTrailers}}))
	s.heard = time.Hour
	s.beat(time.Hour)
	if err := s.Send(t.Context(), []driver.Frame{{Kind: driver.FrameCredit, Credit: 1}}); err != nil {
		t.Error(err)
	}
	if s.sent != 1 || s.err != nil {
		t.Errorf("%d packets were sent, want only the answer; %v", s.sent, s.err)
	}
}

func testbedConn(t *testing.T) *natsgo.Conn {
	nc, err := natsgo.Connect(testbed.NATS(t).URL())
	check.NoError(t, err)
	t.Cleanup(nc.Close)
	return nc
}
