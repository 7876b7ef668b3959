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

// routeAll returns a router of a plugin that has one method. Only calls with
// operations may count as quick.
func routeAll(m Method) Router {
	return func(c *pluginpb.Call) (Method, Class) {
		if c.GetKvDo() != nil {
			return m, Reads
		}
		return m, Slow
	}
}

// echo answers an operation with its own value. If the key is "wait", it waits
// until its context ends; if the key is "hold", it waits for release.
func echo(release <-chan struct{}) Method {
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

func newCall(key string, value []byte) *pluginpb.Call {
	return &pluginpb.Call{Body: &pluginpb.Call_KvDo{KvDo: &pluginpb.KVDo{Ops: []*pluginpb.KVOp{{Key: []byte(key), Value: value}}}}}
}

// newLinkedPair returns a link over a Unix socket to a server of the method, and
// the server's end of the socket.
func newLinkedPair(t testing.TB, m Method) (*Link, net.Conn) {
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
		_ = Serve(context.Background(), c, routeAll(m))
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
	r, err := l.Call(context.Background(), newCall("k", value), nil)
	if err != nil {
		t.Errorf("a call: %v", err)
		return
	}
	if got := r.GetKvResults().GetResults()[0].Value; !bytes.Equal(got, value) {
		t.Errorf("the reply has %d bytes, want the %d bytes that were sent", len(got), len(value))
	}
}

// TestManyCallers shows that every caller gets its own reply, whichever caller
// reads.
func TestManyCallers(t *testing.T) {
	l, _ := newLinkedPair(t, echo(nil))
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
	l, _ := newLinkedPair(t, echo(nil))
	for _, size := range []int{0, 1, minBuffer - 10, minBuffer, 5 << 20, 20 << 20, 3} {
		wantEcho(t, l, make([]byte, size))
	}
}

// TestGivingUp shows that a caller whose context ends gets the plugin's reply to
// the cancellation, and that the next caller can read.
func TestGivingUp(t *testing.T) {
	l, _ := newLinkedPair(t, echo(nil))
	for range 20 {
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Millisecond)
		r, err := l.Call(ctx, newCall("wait", nil), nil)
		cancel()
		if err != nil || r.GetError().GetCode() != pluginpb.Code_CODE_CANCELED {
			t.Fatalf("a call that was given up: %v, %v", r, err)
		}
		wantEcho(t, l, []byte("next"))
	}
}

// TestLateReply shows that a reply whose caller has gone is passed to onLate.
func TestLateReply(t *testing.T) {
	release := make(chan struct{})
	l, _ := newLinkedPair(t, echo(release))
	ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	late := make(chan *pluginpb.Reply, 1)
	began := time.Now()
	_, err := l.Call(ctx, newCall("hold", []byte("late")), func(r *pluginpb.Reply) { late <- r })
	var lost *Lost
	if !errors.As(err, &lost) || !lost.Sent || !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("a call that the plugin does not end when told: %v", err)
	}
	if waited := time.Since(began); waited > 3*replyGrace {
		t.Errorf("the caller waited for %v, want at most %v", waited, 3*replyGrace)
	}
	close(release)
	for len(late) == 0 { // each caller reads until it has its own reply, which may come before the late one
		wantEcho(t, l, nil)
	}
	if r := <-late; string(r.GetKvResults().GetResults()[0].Value) != "late" {
		t.Errorf("the late reply is %v", r)
	}
}

// TestBreaking shows that no caller waits for a plugin that is gone.
func TestBreaking(t *testing.T) {
	release := make(chan struct{})
	defer close(release)
	l, server := newLinkedPair(t, echo(release))
	errs := make(chan error, 8)
	for range cap(errs) {
		go func() {
			_, err := l.Call(context.Background(), newCall("hold", nil), nil)
			errs <- err
		}()
	}
	wantEcho(t, l, nil) // it serves
	server.Close()
	for range cap(errs) {
		var lost *Lost
		if err := <-errs; !errors.As(err, &lost) {
			t.Errorf("a call whose plugin is gone: %v, want a *Lost", err)
		}
	}
	<-l.Done()
	var lost *Lost
	if _, err := l.Call(t.Context(), newCall("k", nil), nil); !errors.As(err, &lost) || lost.Sent {
		t.Errorf("a call after the plugin is gone: %v, want a *Lost that was not sent", err)
	}
}

// TestPluginThatDoesNotRead shows that Call returns when its context ends,
// although the call cannot be sent.
func TestPluginThatDoesNotRead(t *testing.T) {
	ours, theirs := newSocketPair(t)
	go func() {
		c := SocketConn(theirs, time.Minute)
		_, _ = c.Recv()
		_ = c.Send(&pluginpb.ExchangeResponse{})
	}()
	l, err := Attach(t.Context(), ours, &pluginpb.Attach{})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	for range 3 {
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
		began := time.Now()
		_, err := l.Call(ctx, newCall("k", make([]byte, 4<<20)), nil)
		cancel()
		if !errors.Is(err, context.DeadlineExceeded) || time.Since(began) > 3*replyGrace {
			t.Errorf("a call that cannot be sent: %v, after %v", err, time.Since(began))
		}
	}
}

func newSocketPair(t *testing.T) (ours, theirs net.Conn) {
	t.Helper()
	l, err := net.Listen("unix", filepath.Join(t.TempDir(), "s"))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if ours, err = net.Dial("unix", l.Addr().String()); err != nil {
		t.Fatal(err)
	}
	if theirs, err = l.Accept(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ours.Close(); theirs.Close() })
	return ours, theirs
}

// TestReplyTooLarge shows that a reply which fits in no frame fails its own call
// and no other.
func TestReplyTooLarge(t *testing.T) {
	if testing.Short() {
		t.Log("not run with -short: it takes a gigabyte of memory")
		return
	}
	r := &pluginpb.Reply{Id: 7, Body: &pluginpb.Reply_KvResults{KvResults: &pluginpb.KVResults{
		Results: []*pluginpb.KVResult{{Value: make([]byte, maxItem)}},
	}}}
	if got := limitReply(r); got.Id != 7 || got.Error.GetCode() != pluginpb.Code_CODE_TOO_LARGE {
		t.Errorf("got %v", got.Error)
	}
}

// chunks is a connection from which bytes arrive in small parts, with a deadline
// error before each.
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
		switch err := f.readMessage(m.UnmarshalVT); {
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

// FuzzFrames reads untrusted bytes in parts of all sizes. The frames do not
// depend on the parts, and nothing panics or takes much memory.
func FuzzFrames(f *testing.F) {
	b, _ := (&pluginpb.ExchangeRequest{Calls: []*pluginpb.Call{newCall("k", []byte("v"))}, Cancels: []uint64{1}}).MarshalVT()
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
			t.Errorf("in parts of %d bytes: %d frames and %v; all at once: %d and %v", step, len(slow), slowErr, len(fast), fastErr)
		}
		_, _ = readAll(&chunks{data: data, step: step}, func() *pluginpb.ExchangeResponse { return &pluginpb.ExchangeResponse{} })
	})
}

// pipeConn is a plugin's connection over channels.
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

// TestSlowCallsBlockNoOthers shows that a call of a slow class, or of a class
// that is not known to be quick, never runs in the goroutine that reads: the
// call after it is answered at once.
func TestSlowCallsBlockNoOthers(t *testing.T) {
	untilEnd := func(ctx context.Context, _ *pluginpb.Call) *pluginpb.Reply {
		<-ctx.Done()
		return &pluginpb.Reply{}
	}
	route := func(c *pluginpb.Call) (Method, Class) {
		switch {
		case c.GetKvDo() != nil:
			return echo(nil), Reads
		case c.GetPubsubSend() != nil:
			return untilEnd, Publishes
		default:
			return untilEnd, Slow
		}
	}
	blocking := []*pluginpb.Call{
		{Body: &pluginpb.Call_KvNext{}}, {Body: &pluginpb.Call_PubsubSend{PubsubSend: &pluginpb.PubSubSend{}}}, {Body: &pluginpb.Call_KvNext{}},
	}
	synctest.Test(t, func(t *testing.T) {
		conn := pipeConn{make(chan *pluginpb.ExchangeRequest), make(chan *pluginpb.ExchangeResponse, 100)}
		served := make(chan error)
		go func() { served <- Serve(t.Context(), conn, route) }()
		began := time.Now()
		for i, c := range append([]*pluginpb.Call{newCall("k", nil)}, blocking...) {
			if c.Id = uint64(2 * i); i > 0 {
				conn.in <- &pluginpb.ExchangeRequest{Calls: []*pluginpb.Call{c}}
			}
			next := newCall("k", nil)
			next.Id = uint64(2*i + 1)
			conn.in <- &pluginpb.ExchangeRequest{Calls: []*pluginpb.Call{next}}
			<-conn.out
			if delay := time.Since(began); delay > 0 {
				t.Errorf("a call after a %T was delayed by %v", c.Body, delay)
			}
		}
		close(conn.in)
		if err := <-served; err != nil {
			t.Error(err)
		}
	})
}
