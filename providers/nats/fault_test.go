package nats_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"fairlead.dev"
	"fairlead.dev/internal/dev/check"
	"fairlead.dev/internal/dev/testbed"
	"fairlead.dev/kv"
	rpcdriver "fairlead.dev/rpc/driver"
)

func proxied(t *testing.T) (server *testbed.NATSServer, proxy *testbed.TCPProxy, url string) {
	t.Helper()
	server = testbed.NATS(t)
	proxy = testbed.Proxy(t, server.Addr())
	return server, proxy, "nats://" + proxy.Addr()
}

// A write whose answer is lost soon fails with UnknownOutcome, and is not repeated.
func TestLostAnswer(t *testing.T) {
	server, proxy, url := proxied(t)
	s, err := kv.Open(t.Context(), open(t, url), "lost")
	check.NoError(t, err)
	direct, err := kv.Open(t.Context(), open(t, server.URL()), "lost")
	check.NoError(t, err)
	trap := proxy.SwallowReply([]byte("fairlead.kv.lost"))
	began := time.Now()
	_, err = s.Put(t.Context(), "k", []byte("v"))
	if !errors.Is(err, fairlead.UnknownOutcome) {
		t.Fatalf("a write whose answer was lost: %v", err)
	}
	t.Logf("the write failed after %v", time.Since(began))
	select {
	case <-trap.Sprung():
	case <-time.After(10 * time.Second):
		t.Fatal("the proxy dropped no answer: the test shows nothing")
	}
	e, err := direct.Get(t.Context(), "k")
	if err != nil || string(e.Value) != "v" {
		t.Fatalf("the write that the server took: %+v, %v", e, err)
	}
}

// calls returns both ends of a call between two providers.
func calls(t *testing.T, client, server string) (c, s rpcdriver.Stream) {
	t.Helper()
	l, err := open(t, server).(rpcdriver.Provider).Listen(t.Context(), rpcdriver.ListenConfig{Service: "greeter"})
	check.NoError(t, err)
	t.Cleanup(func() { _ = l.Close(t.Context()) })
	c, err = open(t, client).(rpcdriver.Provider).OpenStream(t.Context(), rpcdriver.StreamConfig{Service: "greeter", Call: rpcdriver.Call{Method: "/g/m"}})
	check.NoError(t, err)
	in, err := l.Accept(t.Context())
	if err != nil || in.Call.Method != "/g/m" {
		t.Fatalf("%+v, %v", in.Call, err)
	}
	check.NoError(t, in.Stream.Send(t.Context(), []rpcdriver.Frame{{Kind: rpcdriver.FrameHeaders}}))
	if _, err := c.Recv(t.Context()); err != nil {
		t.Fatal(err)
	}
	return c, in.Stream
}

func wantLost(t *testing.T, what string, s rpcdriver.Stream) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	began := time.Now()
	for {
		_, err := s.Recv(ctx)
		if err == nil {
			continue
		}
		if !errors.Is(err, fairlead.Unavailable) {
			t.Errorf("%s: %v, want Unavailable", what, err)
		}
		t.Logf("%s noticed it after %v", what, time.Since(began))
		return
	}
}

// If the connection of one end breaks, both ends notice it.
func TestPeerLost(t *testing.T) {
	server, proxy, url := proxied(t)
	c, s := calls(t, server.URL(), url)
	check.NoError(t, proxy.Refuse())
	proxy.Cut()
	wantLost(t, "the server, whose connection broke,", s)
	wantLost(t, "the client", c)
}

// A listener continues with the next connection.
func TestListenerSurvivesRestart(t *testing.T) {
	server := testbed.NATS(t)
	l, err := open(t, server.URL()).(rpcdriver.Provider).Listen(t.Context(), rpcdriver.ListenConfig{Service: "greeter"})
	check.NoError(t, err)
	defer l.Close(t.Context())
	client := open(t, server.URL()).(rpcdriver.Provider)
	check.NoError(t, server.Kill(t.Context()))
	check.NoError(t, server.Start(t.Context()))
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	accepted := make(chan error, 1)
	go func() {
		_, err := l.Accept(ctx)
		accepted <- err
	}()
	for {
		s, err := client.OpenStream(ctx, rpcdriver.StreamConfig{Service: "greeter", Call: rpcdriver.Call{Method: "/g/m"}})
		if err == nil {
			defer s.Close(t.Context())
		}
		select {
		case err := <-accepted:
			check.NoError(t, err)
			return
		case <-time.After(200 * time.Millisecond):
		}
	}
}
