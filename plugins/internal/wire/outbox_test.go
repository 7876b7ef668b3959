package wire

import (
	"io"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"fairlead.dev/plugins/internal/pluginpb/fairlead/plugin/v1"
)

// gate is a host's connection, whose plugin answers every call at once. A frame
// goes out when the test lets it.
type gate struct {
	pass chan struct{}
	// direct: Send itself waits, and not what does the rest.
	direct bool
	frames []int // how many calls they had
	in     chan *pluginpb.ExchangeResponse
	gone   chan struct{}
}

func (g *gate) Send(f *pluginpb.ExchangeRequest) (func() error, error) {
	rest := func() error {
		<-g.pass
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

func (g *gate) Recv() (*pluginpb.ExchangeResponse, error) {
	select {
	case f := <-g.in:
		return f, nil
	case <-g.gone:
		return nil, io.EOF
	}
}

func (g *gate) Interrupt() bool { return false }

func (g *gate) Close() error {
	close(g.gone)
	return nil
}

// TestCallsShareAFrame shows that calls which are made while a frame is being
// sent go out in the next one, all of them.
func TestCallsShareAFrame(t *testing.T) {
	for name, direct := range map[string]bool{"who calls sends": true, "a goroutine sends": false} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				g := &gate{
					pass: make(chan struct{}), direct: direct,
					in: make(chan *pluginpb.ExchangeResponse, 100), gone: make(chan struct{}),
				}
				l := newLink(g)
				defer l.Close()
				answered := make(chan error, 51)
				for range cap(answered) {
					go func() {
						_, err := l.Call(t.Context(), call("k", nil), nil)
						answered <- err
					}()
					synctest.Wait()
				}
				close(g.pass)
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

// heldConn is a plugin's connection, on which a frame goes out when the test
// lets it.
type heldConn struct {
	pipeConn
	pass chan struct{}
}

func (c heldConn) Send(f *pluginpb.ExchangeResponse) error {
	<-c.pass
	return c.pipeConn.Send(f)
}

// TestRepliesShareAFrame shows that replies which are there while a frame is
// being sent go out in the next one, all of them, and hold nobody up meanwhile.
func TestRepliesShareAFrame(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := heldConn{
			pipeConn{make(chan *pluginpb.ExchangeRequest), make(chan *pluginpb.ExchangeResponse, 100)}, make(chan struct{}),
		}
		served := make(chan error)
		go func() { served <- Serve(t.Context(), c, echo(nil)) }()
		began := time.Now()
		for i := range 51 {
			next := call("k", nil)
			next.Id = uint64(i + 1)
			c.in <- &pluginpb.ExchangeRequest{Calls: []*pluginpb.Call{next}}
			synctest.Wait()
		}
		if held := time.Since(began); held > 0 {
			t.Errorf("calls were held up for %v", held)
		}
		close(c.pass)
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

// TestFramesHaveRoom shows how much a frame gathers, and that the last item of
// one may be the greatest there is: what stands before each item counts, too.
func TestFramesHaveRoom(t *testing.T) {
	sizes := map[byte]int{'0': 0, '1': 1, 'h': enough / 2, 'e': enough, 'm': maxMessage}
	for name, c := range map[string]struct {
		queue []byte
		want  int // items in the first frame
	}{
		"one":            {[]byte("m"), 1},
		"not two":        {[]byte("mm"), 1},
		"halves":         {[]byte("hhh"), 2},
		"enough":         {[]byte("e1"), 1},
		"little":         {[]byte("0110"), 4},
		"cancels, alone": {slices.Repeat([]byte("0"), enough), enough / header},
	} {
		o := outbox[byte]{size: func(b byte) int { return sizes[b] }, queue: c.queue}
		if got := len(o.take()); got != c.want || len(o.queue) != len(c.queue)-c.want {
			t.Errorf("%s: %d of %d are in the first frame, want %d; %d are left", name, got, len(c.queue), c.want, len(o.queue))
		}
	}
}

// TestGreatestFrame shows that no frame is too great, whatever it gathers: here
// as many small calls as it can, of which each takes more than its own bytes,
// and behind them the greatest one that there is.
func TestGreatestFrame(t *testing.T) {
	one := &pluginpb.Call{Id: 1}
	size := func(calls ...*pluginpb.Call) int { return (&pluginpb.ExchangeRequest{Calls: calls}).SizeVT() }
	o := outbox[int]{size: func(n int) int { return n }, queue: slices.Repeat([]int{one.SizeVT()}, enough/one.SizeVT())}
	n := len(o.take())
	o.queue = append(slices.Repeat([]int{one.SizeVT()}, n-1), maxMessage)
	if got := len(o.take()); got != n {
		t.Fatalf("the frame has %d calls, want %d", got, n)
	}
	const before = 1 + 5 // the greatest one: a tag, and its length
	if all := (n-1)*size(one) + before + maxMessage; all > MaxFrame {
		t.Errorf("a frame with %d small calls and a great one has %d bytes; the greatest has %d", n-1, all, MaxFrame)
	}
}
