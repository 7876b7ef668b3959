package nats_test

import (
	"context"
	"testing"
	"time"

	"fairlead.dev"
	"fairlead.dev/internal/dev/check"
	"fairlead.dev/internal/dev/testbed"
	"fairlead.dev/rpc/driver"
)

func listen(t *testing.T, p fairlead.Provider) driver.Listener {
	t.Helper()
	l, err := p.(driver.Carrier).Listen(t.Context(), driver.ListenConfig{Service: "s"})
	check.NoError(t, err)
	t.Cleanup(func() { _ = l.Close(context.Background()) })
	return l
}

// A server that stops gives back the calls that it has not accepted.
func TestUnacceptedCallsGoToAnotherServer(t *testing.T) {
	p := open(t, testbed.NATS(t).URL())
	leaving := listen(t, p)
	var streams []driver.Stream
	for range 8 {
		s, err := p.(driver.Carrier).OpenStream(t.Context(), driver.StreamConfig{
			Service: "s", Call: driver.Call{Method: "/s/m"}, InitialFrames: []driver.Frame{{Kind: driver.FrameHalfClose}},
		})
		check.NoError(t, err)
		t.Cleanup(func() { _ = s.Close(context.Background()) })
		streams = append(streams, s)
	}
	first, err := leaving.Accept(t.Context()) // by now the server has received other calls, too
	check.NoError(t, err)
	t.Cleanup(func() { _ = first.Stream.Close(context.Background()) })
	staying := listen(t, p)
	check.NoError(t, leaving.Close(t.Context()))
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	for n := range len(streams) - 1 {
		in, err := staying.Accept(ctx)
		if err != nil {
			t.Fatalf("after %d calls: %v", n, err)
		}
		t.Cleanup(func() { _ = in.Stream.Close(context.Background()) })
	}
}
