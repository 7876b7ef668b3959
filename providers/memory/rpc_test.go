package memory

import (
	"context"
	"slices"
	"testing"
	"testing/synctest"

	"fairlead.dev"
	"fairlead.dev/internal/dev/check"
	"fairlead.dev/providers"
	rpcdriver "fairlead.dev/rpc/driver"
)

// callFixture is a server and a client on one backend, each with a provider of
// its own.
type callFixture struct {
	server, client *carrier
	listener       rpcdriver.Listener
}

func newCallFixture(t *testing.T) callFixture {
	t.Helper()
	x := newListenerRegistry()
	f := callFixture{
		server: newCarrier(providers.NewLifetime("provider"), x),
		client: newCarrier(providers.NewLifetime("provider"), x),
	}
	l, err := f.server.Listen(t.Context(), rpcdriver.ListenConfig{Service: "s"})
	check.NoError(t, err)
	f.listener = l
	t.Cleanup(func() { f.server.life.End(); f.client.life.End() })
	return f
}

func (f callFixture) open(t *testing.T, first ...rpcdriver.Frame) rpcdriver.Stream {
	t.Helper()
	s, err := f.client.OpenStream(t.Context(), rpcdriver.StreamConfig{Service: "s", Call: rpcdriver.Call{Method: "/a/b"}, InitialFrames: first})
	check.NoError(t, err)
	return s
}

func (f callFixture) pair(t *testing.T) (client, server rpcdriver.Stream) {
	t.Helper()
	client = f.open(t)
	in, err := f.listener.Accept(t.Context())
	check.NoError(t, err)
	return client, in.Stream
}

func credits(n ...int) []rpcdriver.Frame {
	frames := make([]rpcdriver.Frame, len(n))
	for i, c := range n {
		frames[i] = rpcdriver.Frame{Kind: rpcdriver.FrameCredit, Credit: c}
	}
	return frames
}

func wantFrames(t *testing.T, s rpcdriver.Stream, want ...int) {
	t.Helper()
	frames, err := s.Recv(t.Context())
	check.NoError(t, err)
	var got []int
	for _, f := range frames {
		got = append(got, f.Credit)
	}
	if !slices.Equal(got, want) {
		t.Fatalf("got %v, want %v", got, want)
	}
}

func TestStreamCarriesFrames(t *testing.T) {
	f := newCallFixture(t)
	client := f.open(t, credits(1, 2)...)
	check.NoError(t, client.Send(t.Context(), credits(3)))
	in, err := f.listener.Accept(t.Context())
	check.NoError(t, err)
	if in.Call.Method != "/a/b" {
		t.Errorf("the method is %q", in.Call.Method)
	}
	wantFrames(t, in.Stream, 1, 2, 3)
	check.NoError(t, in.Stream.Send(t.Context(), credits(4, 5)))
	wantFrames(t, client, 4, 5)
}

// Frames that were sent before a close still arrive, then Recv fails.
func TestStreamClose(t *testing.T) {
	client, server := newCallFixture(t).pair(t)
	check.NoError(t, server.Send(t.Context(), credits(1)))
	check.NoError(t, server.Close(t.Context()))
	check.NoError(t, server.Close(t.Context()))
	check.Code(t, client.Send(t.Context(), credits(2)), fairlead.Closed)
	check.Code(t, server.Send(t.Context(), credits(2)), fairlead.Closed)
	wantFrames(t, client, 1)
	for range 2 {
		_, err := client.Recv(t.Context())
		check.Code(t, err, fairlead.Closed)
	}
	_, err := server.Recv(t.Context())
	check.Code(t, err, fairlead.Closed)
}

// Recv and Accept stop waiting for every event that has to end them.
func TestCallsUnblock(t *testing.T) {
	type fixture struct {
		callFixture
		client, server rpcdriver.Stream
		cancel         context.CancelFunc
	}
	for name, c := range map[string]struct {
		end            func(context.Context, fixture)
		client, server fairlead.Code // of the client's Recv and the server's Accept
	}{
		"peer closes":            {func(ctx context.Context, f fixture) { _ = f.server.Close(ctx) }, fairlead.Closed, 0},
		"own close":              {func(ctx context.Context, f fixture) { _ = f.client.Close(ctx) }, fairlead.Closed, 0},
		"context":                {func(_ context.Context, f fixture) { f.cancel() }, fairlead.Canceled, fairlead.Canceled},
		"server's provider ends": {func(_ context.Context, f fixture) { f.callFixture.server.life.End() }, fairlead.Closed, fairlead.Closed},
		"client's provider ends": {func(_ context.Context, f fixture) { f.callFixture.client.life.End() }, fairlead.Closed, 0},
		"listener closes":        {func(ctx context.Context, f fixture) { _ = f.listener.Close(ctx) }, 0, fairlead.Closed},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := fixture{callFixture: newCallFixture(t)}
				f.client, f.server = f.pair(t)
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				f.cancel = cancel
				received, accepted := make(chan error, 1), make(chan error, 1)
				go func() { _, err := f.client.Recv(ctx); received <- err }()
				go func() { _, err := f.listener.Accept(ctx); accepted <- err }()
				synctest.Wait()
				c.end(t.Context(), f)
				synctest.Wait()
				wantEnded(t, "Recv", received, c.client)
				wantEnded(t, "Accept", accepted, c.server)
			})
		})
	}
}

// wantEnded wants an error with the code. For 0 the call must still wait.
func wantEnded(t *testing.T, what string, ended <-chan error, want fairlead.Code) {
	t.Helper()
	switch {
	case want == 0 && len(ended) > 0:
		t.Errorf("%s ended with %v", what, <-ended)
	case want != 0 && len(ended) == 0:
		t.Errorf("%s still waits", what)
	case want != 0:
		check.Code(t, <-ended, want)
	}
}

// Streams that were not accepted end with their listener. Accepted ones continue.
func TestListenerClose(t *testing.T) {
	f := newCallFixture(t)
	client, server := f.pair(t)
	waiting := f.open(t)
	check.NoError(t, f.listener.Close(t.Context()))
	check.NoError(t, f.listener.Close(t.Context()))
	_, err := waiting.Recv(t.Context())
	check.Code(t, err, fairlead.Closed)
	_, err = f.client.OpenStream(t.Context(), rpcdriver.StreamConfig{Service: "s"})
	check.Code(t, err, fairlead.Unavailable)
	check.NoError(t, server.Send(t.Context(), credits(1)))
	wantFrames(t, client, 1)
}

// A listener whose provider was closed gets no calls.
func TestClosedListenerIsSkipped(t *testing.T) {
	f := newCallFixture(t)
	f.server.life.End()
	_, err := f.client.OpenStream(t.Context(), rpcdriver.StreamConfig{Service: "s"})
	check.Code(t, err, fairlead.Unavailable)
	f.client.life.End()
	_, err = f.client.OpenStream(t.Context(), rpcdriver.StreamConfig{Service: "s"})
	check.Code(t, err, fairlead.Closed)
	_, err = f.server.Listen(t.Context(), rpcdriver.ListenConfig{Service: "s"})
	check.Code(t, err, fairlead.Closed)
}

func TestListenersTakeTurns(t *testing.T) {
	f := newCallFixture(t)
	second, err := f.server.Listen(t.Context(), rpcdriver.ListenConfig{Service: "s"})
	check.NoError(t, err)
	for range 6 {
		f.open(t)
	}
	for _, l := range []rpcdriver.Listener{f.listener, second} {
		if n := l.(*listener).backlog.Len(); n != 3 {
			t.Errorf("a listener got %d of 6 streams", n)
		}
	}
}
