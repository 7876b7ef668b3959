package wire

import (
	"io"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"fairlead.dev/plugins/internal/pluginpb/fairlead/plugin/v1"
)

// gatedConn is a host's connection to a plugin that answers every call at once.
// Each frame is sent when the test opens the gate.
type gatedConn struct {
	open chan struct{}
	// direct: Send itself waits for the gate, not the function that it returns.
	direct bool
	frames []int // the number of calls in each
	in     chan *pluginpb.ExchangeResponse
	closed chan struct{}
}

func (g *gatedConn) Send(f *pluginpb.ExchangeRequest) (func() error, error) {
	rest := func() error {
		<-g.open
		g.frames = append(g.frames, len(f.Calls))
		answer := &pluginpb.ExchangeResponse{}
		for _, c := range f.Calls {
			answer.Replies = append(answer.Replies, &pluginpb.Reply{Id: c.Id})
		}
		g.in <- answer
		return nil
	}
	if g.direct {
		return nil, rest()
	}
	return rest, nil
}

func (g *gatedConn) Recv() (*pluginpb.ExchangeResponse, error) {
	select {
	case f := <-g.in:
		return f, nil
	case <-g.closed:
		return nil, io.EOF
	}
}

func (g *gatedConn) Interrupt() bool { return false }

func (g *gatedConn) Close() error {
	close(g.closed)
	return nil
}

// TestCallsShareAFrame shows that all calls which are made while a frame is being
// sent go out together in the next one.
func TestCallsShareAFrame(t *testing.T) {
	for name, direct := range map[string]bool{"the caller sends": true, "a goroutine sends": false} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				g := &gatedConn{
					open: make(chan struct{}), direct: direct,
					in: make(chan *pluginpb.ExchangeResponse, 100), closed: make(chan struct{}),
				}
				l := newLink(g)
				defer l.Close()
				answered := make(chan error, 51)
				for range cap(answered) {
					go func() {
						_, err := l.Call(t.Context(), newCall("k", nil), nil)
						answered <- err
					}()
					synctest.Wait()
				}
				close(g.open)
				for range cap(answered) {
					if err := <-answered; err != nil {
						t.Error(err)
					}
				}
				if want := []int{1, 50}; !slices.Equal(g.frames, want) {
					t.Errorf("there were frames of %v calls, want %v", g.frames, want)
				}
			})
		})
	}
}

// heldConn is a plugin's connection on which each frame is sent when the test
// opens the gate.
type heldConn struct {
	pipeConn
	open chan struct{}
}

func (c heldConn) Send(f *pluginpb.ExchangeResponse) error {
	<-c.open
	return c.pipeConn.Send(f)
}

// TestRepliesShareAFrame shows that all replies which are ready while a frame is
// being sent go out together in the next one, and that they delay no call.
func TestRepliesShareAFrame(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := heldConn{
			pipeConn{make(chan *pluginpb.ExchangeRequest), make(chan *pluginpb.ExchangeResponse, 100)}, make(chan struct{}),
		}
		served := make(chan error)
		go func() { served <- Serve(t.Context(), c, routeAll(echo(nil))) }()
		began := time.Now()
		for i := range 51 {
			next := newCall("k", nil)
			next.Id = uint64(i + 1)
			c.in <- &pluginpb.ExchangeRequest{Calls: []*pluginpb.Call{next}}
			synctest.Wait()
		}
		if delay := time.Since(began); delay > 0 {
			t.Errorf("calls were delayed by %v", delay)
		}
		close(c.open)
		var frames []int
		for n := 0; n < 51; n += frames[len(frames)-1] {
			frames = append(frames, len((<-c.out).Replies))
		}
		if want := []int{1, 50}; !slices.Equal(frames, want) {
			t.Errorf("there were frames of %v replies, want %v", frames, want)
		}
		close(c.in)
		if err := <-served; err != nil {
			t.Error(err)
		}
	})
}

// TestFramesHaveRoom shows how much a frame gathers, and that its last item may
// have the maximum size: the overhead of each item counts as well.
func TestFramesHaveRoom(t *testing.T) {
	sizes := map[byte]int{'0': 0, '1': 1, 'h': frameTarget / 2, 'e': frameTarget, 'm': maxItem}
	for name, c := range map[string]struct {
		queue []byte
		want  int // items in the first frame
	}{
		"one":          {[]byte("m"), 1},
		"not two":      {[]byte("mm"), 1},
		"halves":       {[]byte("hhh"), 2},
		"enough":       {[]byte("e1"), 1},
		"little":       {[]byte("0110"), 4},
		"cancels only": {slices.Repeat([]byte("0"), frameTarget), frameTarget / itemOverhead},
	} {
		o := outbox[byte]{size: func(b byte) int { return sizes[b] }, queue: c.queue}
		if got := len(o.takeFrame()); got != c.want || len(o.queue) != len(c.queue)-c.want {
			t.Errorf("%s: the first frame has %d of %d items, want %d; %d are left", name, got, len(c.queue), c.want, len(o.queue))
		}
	}
}

// TestLargestFrame shows that no frame exceeds MaxFrame, whatever operations it combines:
// here as many small calls as it can, each of which takes more than its own
// bytes, and after them a call of the maximum size.
func TestLargestFrame(t *testing.T) {
	one := &pluginpb.Call{Id: 1}
	size := func(calls ...*pluginpb.Call) int { return (&pluginpb.ExchangeRequest{Calls: calls}).SizeVT() }
	o := outbox[int]{size: func(n int) int { return n }, queue: slices.Repeat([]int{one.SizeVT()}, frameTarget/one.SizeVT())}
	n := len(o.takeFrame())
	o.queue = append(slices.Repeat([]int{one.SizeVT()}, n-1), maxItem)
	if got := len(o.takeFrame()); got != n {
		t.Fatalf("the frame has %d calls, want %d", got, n)
	}
	const before = 1 + 5 // the largest call: its tag and its length
	if all := (n-1)*size(one) + before + maxItem; all > MaxFrame {
		t.Errorf("a frame with %d small calls and a call of the maximum size has %d bytes; the maximum is %d", n-1, all, MaxFrame)
	}
}
