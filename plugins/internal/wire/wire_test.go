package wire

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"fairlead.dev/plugins/internal/pluginpb/fairlead/plugin/v1"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// echo answers an operation with its own value. It waits for the end of its
// context if the key is "wait", and for release if it is "hold".
func echo(release <-chan struct{}) Handler {
	return func(ctx context.Context, c *pluginpb.Call) *pluginpb.Reply {
		switch op := c.GetKvDo().GetOps()[0]; string(op.Key) {
		case "wait":
			<-ctx.Done()
			return &pluginpb.Reply{Error: &pluginpb.Error{Code: pluginpb.Code_CODE_CANCELED}}
		case "hold":
			<-release
			fallthrough
		default:
			return &pluginpb.Reply{Body: &pluginpb.Reply_KvResults{KvResults: &pluginpb.KVResults{
				Results: []*pluginpb.KVResult{{Value: op.Value}},
			}}}
		}
	}
}

func call(key string, value []byte) *pluginpb.Call {
	return &pluginpb.Call{Body: &pluginpb.Call_KvDo{KvDo: &pluginpb.KVDo{Ops: []*pluginpb.KVOp{{Key: []byte(key), Value: value}}}}}
}

// linked returns a link to a server of the handler, over a Unix socket, and
// the server's end of it.
func linked(t testing.TB, handle Handler) (*Link, net.Conn) {
	l, err := net.Listen("unix", filepath.Join(t.TempDir(), "s"))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	accepted := make(chan net.Conn, 1)
	served := make(chan struct{})
	go func() {
		defer close(served)
		conn, err := l.Accept()
		if err != nil {
			return
		}
		accepted <- conn
		c := SocketConn(conn, time.Minute)
		if f, err := c.Recv(); err != nil || f.Attach == nil {
			t.Errorf("the attach: %v, %v", f, err)
			return
		}
		if err := c.Send(&pluginpb.ExchangeResponse{}); err != nil {
			t.Error(err)
		}
		_ = Serve(context.Background(), c, handle)
	}()
	conn, err := net.Dial("unix", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	link, err := Attach(t.Context(), conn, &pluginpb.Attach{Session: 1})
	if err != nil {
		t.Fatal(err)
	}
	server := <-accepted
	t.Cleanup(func() {
		link.Close()
		<-served
		server.Close()
	})
	return link, server
}

func wantEcho(t testing.TB, l *Link, value []byte) {
	t.Helper()
	r, err := l.Call(context.Background(), call("k", value), nil)
	if err != nil {
		t.Errorf("a call: %v", err)
		return
	}
	if got := r.GetKvResults().GetResults()[0].Value; !bytes.Equal(got, value) {
		t.Errorf("%d bytes came back for %d, or others", len(got), len(value))
	}
}

// TestManyCallers shows that everybody gets their own reply, whoever reads.
func TestManyCallers(t *testing.T) {
	l, _ := linked(t, echo(nil))
	var wg sync.WaitGroup
	for i := range 64 {
		wg.Go(func() {
			for n := range 100 {
				wantEcho(t, l, bytes.Repeat([]byte(fmt.Sprint(i, ".", n, " ")), 1+n*n%300))
			}
		})
	}
	wg.Wait()
}

func TestLargeFrames(t *testing.T) {
	l, _ := linked(t, echo(nil))
	for _, size := range []int{0, 1, firstRead - 10, firstRead, 5 << 20, 20 << 20, 3} {
		wantEcho(t, l, make([]byte, size))
	}
}

// TestGivingUp shows that a caller whose context ends gets what the plugin says
// of the call, and that the next caller can read.
func TestGivingUp(t *testing.T) {
	l, _ := linked(t, echo(nil))
	for range 20 {
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Millisecond)
		r, err := l.Call(ctx, call("wait", nil), nil)
		cancel()
		if err != nil || r.GetError().GetCode() != pluginpb.Code_CODE_CANCELED {
			t.Fatalf("a call that was given up: %v, %v", r, err)
		}
		wantEcho(t, l, []byte("next"))
	}
}

// TestLateReply shows that the reply for a caller who is gone is not lost.
func TestLateReply(t *testing.T) {
	release := make(chan struct{})
	l, _ := linked(t, echo(release))
	ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	late := make(chan *pluginpb.Reply, 1)
	began := time.Now()
	_, err := l.Call(ctx, call("hold", []byte("late")), func(r *pluginpb.Reply) { late <- r })
	var lost *Lost
	if !errors.As(err, &lost) || !lost.Sent || !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("a call that the plugin does not end: %v", err)
	}
	if waited := time.Since(began); waited > 3*grace {
		t.Errorf("it took %v", waited)
	}
	close(release)
	wantEcho(t, l, nil) // somebody reads
	if r := <-late; string(r.GetKvResults().GetResults()[0].Value) != "late" {
		t.Errorf("the late reply is %v", r)
	}
}

// TestBreaking shows that nobody waits for a plugin that is gone.
func TestBreaking(t *testing.T) {
	release := make(chan struct{})
	defer close(release)
	l, server := linked(t, echo(release))
	errs := make(chan error, 8)
	for range cap(errs) {
		go func() {
			_, err := l.Call(context.Background(), call("hold", nil), nil)
			errs <- err
		}()
	}
	wantEcho(t, l, nil) // it serves
	server.Close()
	for range cap(errs) {
		var lost *Lost
		if err := <-errs; !errors.As(err, &lost) {
			t.Errorf("a call whose plugin is gone: %v", err)
		}
	}
	<-l.Done()
	var lost *Lost
	if _, err := l.Call(t.Context(), call("k", nil), nil); !errors.As(err, &lost) || lost.Sent {
		t.Errorf("a call after that: %v", err)
	}
}

// TestPluginThatDoesNotRead shows that a caller comes back when its context
// ends, although its call cannot be sent.
func TestPluginThatDoesNotRead(t *testing.T) {
	ours, theirs, err := pair(t)
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		c := SocketConn(theirs, time.Minute)
		_, _ = c.Recv()
		_ = c.Send(&pluginpb.ExchangeResponse{})
	}()
	l, err := Attach(t.Context(), ours, &pluginpb.Attach{})
	if err != nil {
		t.Fatal(err)
	}
	defer theirs.Close()
	defer l.Close()
	for range 3 {
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
		began := time.Now()
		_, err := l.Call(ctx, call("k", make([]byte, 4<<20)), nil)
		cancel()
		if !errors.Is(err, context.DeadlineExceeded) || time.Since(began) > 3*grace {
			t.Errorf("a call that cannot be sent: %v, after %v", err, time.Since(began))
		}
	}
}

func pair(t *testing.T) (a, b net.Conn, err error) {
	l, err := net.Listen("unix", filepath.Join(t.TempDir(), "s"))
	if err != nil {
		return nil, nil, err
	}
	defer l.Close()
	if a, err = net.Dial("unix", l.Addr().String()); err != nil {
		return nil, nil, err
	}
	b, err = l.Accept()
	return a, b, err
}

// TestReplyTooLarge shows that what fits in no frame fails its call alone.
func TestReplyTooLarge(t *testing.T) {
	if testing.Short() {
		t.Log("takes a gigabyte")
		return
	}
	r := &pluginpb.Reply{Id: 7, Body: &pluginpb.Reply_KvResults{KvResults: &pluginpb.KVResults{
		Results: []*pluginpb.KVResult{{Value: make([]byte, maxMessage)}},
	}}}
	if got := tooLarge(r); got.Id != 7 || got.Error.GetCode() != pluginpb.Code_CODE_TOO_LARGE {
		t.Errorf("got %v", got.Error)
	}
}

// chunks is a connection from which bytes come in small parts, with deadlines
// in between.
type chunks struct {
	net.Conn
	data []byte
	step int
	late bool
}

func (c *chunks) Read(b []byte) (int, error) {
	if c.late = !c.late; c.late {
		return 0, os.ErrDeadlineExceeded
	}
	if len(c.data) == 0 {
		return 0, io.EOF
	}
	n := copy(b, c.data[:min(c.step, len(c.data))])
	c.data = c.data[n:]
	return n, nil
}

func (c *chunks) SetReadDeadline(time.Time) error { return nil }

// readAll reads frames until the connection ends.
func readAll[M message](c *chunks, fresh func() M) (all []M, err error) {
	f := frames{conn: c}
	for {
		m := fresh()
		switch err := f.read(m.UnmarshalVT); {
		case errors.Is(err, os.ErrDeadlineExceeded):
		case errors.Is(err, io.EOF):
			return all, nil
		case err != nil:
			return all, err
		default:
			all = append(all, m)
		}
	}
}

// FuzzFrames reads bytes from outside, in steps of all sizes: the frames do not
// depend on how they come, and nothing panics or takes much memory.
func FuzzFrames(f *testing.F) {
	b, _ := (&pluginpb.ExchangeRequest{Calls: []*pluginpb.Call{call("k", []byte("v"))}, Cancels: []uint64{1}}).MarshalVT()
	whole := append([]byte{0, 0, 0, byte(len(b))}, b...)
	f.Add(whole, 1)
	f.Add(append(whole, whole...), 3)
	f.Add([]byte{0xff, 0xff, 0xff, 0xff, 1}, 2)
	f.Add([]byte{0x3f, 0xff, 0xff, 0xff, 1}, 5)
	f.Add([]byte{}, 1)
	f.Fuzz(func(t *testing.T, data []byte, step int) {
		step = max(step&0xff, 1)
		fresh := func() *pluginpb.ExchangeRequest { return &pluginpb.ExchangeRequest{} }
		slow, slowErr := readAll(&chunks{data: data, step: step}, fresh)
		fast, fastErr := readAll(&chunks{data: data, step: len(data) + 1}, fresh)
		if len(slow) != len(fast) || (slowErr == nil) != (fastErr == nil) {
			t.Errorf("in steps of %d: %d frames and %v; at once: %d and %v", step, len(slow), slowErr, len(fast), fastErr)
		}
		_, _ = readAll(&chunks{data: data, step: step}, func() *pluginpb.ExchangeResponse { return &pluginpb.ExchangeResponse{} })
	})
}

// pipeConn hands frames over by channels.
type pipeConn struct {
	in  chan *pluginpb.ExchangeRequest
	out chan *pluginpb.ExchangeResponse
}

func (c pipeConn) Send(f *pluginpb.ExchangeResponse) error {
	c.out <- f
	return nil
}

func (c pipeConn) Recv() (*pluginpb.ExchangeRequest, error) {
	f, ok := <-c.in
	if !ok {
		return nil, io.EOF
	}
	return f, nil
}

// TestWaitingHoldsNobodyUp shows that no call waits until another one is found
// not to be quick: one that waits for something to come, or that is of another
// kind than the quick ones.
func TestWaitingHoldsNobodyUp(t *testing.T) {
	waiting := []*pluginpb.Call{
		{Body: &pluginpb.Call_KvNext{}}, {Body: &pluginpb.Call_PubsubReceive{}}, {Body: &pluginpb.Call_ConfigNext{}},
		{Body: &pluginpb.Call_RpcAccept{}}, {Body: &pluginpb.Call_RpcReceive{}}, {Body: &pluginpb.Call_RpcKeep{}},
		{Body: &pluginpb.Call_RpcNextEndpoints{}}, {Body: &pluginpb.Call_PubsubSend{}},
	}
	synctest.Test(t, func(t *testing.T) {
		conn := pipeConn{make(chan *pluginpb.ExchangeRequest), make(chan *pluginpb.ExchangeResponse, 100)}
		quick := echo(nil)
		served := make(chan error)
		go func() {
			served <- Serve(t.Context(), conn, func(ctx context.Context, c *pluginpb.Call) *pluginpb.Reply {
				if c.GetKvDo() != nil {
					return quick(ctx, c)
				}
				<-ctx.Done()
				return &pluginpb.Reply{}
			})
		}()
		began := time.Now()
		for i, c := range append([]*pluginpb.Call{call("k", nil)}, waiting...) {
			if c.Id = uint64(2 * i); i > 0 {
				conn.in <- &pluginpb.ExchangeRequest{Calls: []*pluginpb.Call{c}}
			}
			next := call("k", nil)
			next.Id = uint64(2*i + 1)
			conn.in <- &pluginpb.ExchangeRequest{Calls: []*pluginpb.Call{next}}
			<-conn.out
			if held := time.Since(began); held > 0 {
				t.Errorf("a call behind a %T was held up for %v", c.Body, held)
			}
		}
		close(conn.in)
		if err := <-served; err != nil {
			t.Error(err)
		}
	})
}
