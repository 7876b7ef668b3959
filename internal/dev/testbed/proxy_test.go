package testbed

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

// proxied starts Redis, a proxy before it, and a client of the proxy.
func startProxied(t *testing.T) (*RedisServer, *TCPProxy, *redis.Client) {
	t.Helper()
	s := Redis(t)
	p := Proxy(t, s.Addr())
	o, err := s.Options()
	must(t, err)
	o.Addr = p.Addr()
	c := redis.NewClient(o)
	t.Cleanup(func() { _ = c.Close() })
	return s, p, c
}

func TestProxyForwardsBothWays(t *testing.T) {
	ctx := deadline(t)
	_, p, c := startProxied(t)
	big := strings.Repeat("0123456789abcdef", 1<<16) // many chunks each way
	must(t, c.Set(ctx, "k", big, 0).Err())
	if got := c.Get(ctx, "k").Val(); got != big {
		t.Errorf("%d bytes came back, want %d", len(got), len(big))
	}
	if p.Connections() == 0 {
		t.Error("no connection is counted")
	}
}

func TestProxyCutResetsAndLetsNewOnesIn(t *testing.T) {
	ctx := deadline(t)
	s, p, _ := startProxied(t)
	conn, err := net.Dial("tcp", p.Addr())
	must(t, err)
	defer conn.Close()
	ping(t, conn)
	p.Cut()
	if _, err := conn.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("read from a cut connection: %v, want a reset", err)
	}
	must(t, s.ping(ctx)) // the server itself is well
	again, err := net.Dial("tcp", p.Addr())
	must(t, err)
	defer again.Close()
	ping(t, again)
	must(t, poll(ctx, func(context.Context) error {
		if n := p.Connections(); n != 1 {
			return fmt.Errorf("%d connections, want 1", n)
		}
		return nil
	}))
}

func TestProxyRefusesAndAccepts(t *testing.T) {
	_, p, _ := startProxied(t)
	old, err := net.Dial("tcp", p.Addr())
	must(t, err)
	defer old.Close()
	ping(t, old)
	must(t, p.Refuse())
	must(t, p.Refuse())
	if c, err := net.Dial("tcp", p.Addr()); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("dialling: %v, want refused", err)
		if err == nil {
			c.Close()
		}
	}
	ping(t, old)
	must(t, p.Accept(deadline(t)))
	c, err := net.Dial("tcp", p.Addr())
	must(t, err)
	defer c.Close()
	ping(t, c)
}

func TestProxySwallowsTheReplyOfAnAppliedRequest(t *testing.T) {
	ctx := deadline(t)
	s, p, c := startProxied(t)
	must(t, c.Set(ctx, "before", "1", 0).Err())
	for i := range 20 {
		value := fmt.Sprintf("marker-%d.", i)
		trap := p.SwallowReply([]byte(value))
		must(t, c.Set(ctx, "other", "2", 0).Err()) // does not match
		if err := c.Set(ctx, "k", value, 0).Err(); err == nil {
			t.Fatal("the reply came through")
		}
		select {
		case <-trap.Sprung():
		case <-ctx.Done():
			t.Fatal("the trap has not sprung")
		}
		if got := RedisClient(t, s).Get(ctx, "k").Val(); got != value {
			t.Fatalf("the server holds %q, want %q", got, value)
		}
		must(t, c.Set(ctx, "k", value, 0).Err()) // caught only once
	}
}

func TestProxyWaitsForThePipelineToBeCarriedOut(t *testing.T) {
	const items = 5000 // more than Redis reads at once
	ctx := deadline(t)
	s, p, c := startProxied(t)
	trap := p.SwallowReply(fmt.Appendf(nil, "item-%d.", items-1))
	_, err := c.Pipelined(ctx, func(pipe redis.Pipeliner) error {
		for i := range items {
			pipe.RPush(ctx, "list", fmt.Sprintf("item-%d.", i))
		}
		return nil
	})
	if err == nil {
		t.Fatal("the replies came through")
	}
	<-trap.Sprung()
	if n := RedisClient(t, s).LLen(ctx, "list").Val(); n != items {
		t.Errorf("the server has carried out %d of %d requests", n, items)
	}
}

func TestProxyTrapMatchesAcrossChunks(t *testing.T) {
	_, p, _ := startProxied(t)
	conn, err := net.DialTCP("tcp", nil, tcpAddr(t, p.Addr()))
	must(t, err)
	defer conn.Close()
	ping(t, conn)
	trap := p.SwallowReply([]byte("marker"))
	// The server answers the PING only after it has been forwarded, so the
	// marker reaches the proxy in two reads.
	_, err = io.WriteString(conn, "PING\r\nSET mar")
	must(t, err)
	readLine(t, conn)
	_, err = io.WriteString(conn, "ker 1\r\n")
	must(t, err)
	if _, err := conn.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("reading the reply: %v, want a reset", err)
	}
	<-trap.Sprung()
}

func TestProxyPassesOnTheEnds(t *testing.T) {
	ctx := deadline(t)
	s, p, _ := startProxied(t)
	conn, err := net.DialTCP("tcp", nil, tcpAddr(t, p.Addr()))
	must(t, err)
	defer conn.Close()
	_, err = io.WriteString(conn, "PING\r\n")
	must(t, err)
	must(t, conn.CloseWrite())
	if b, err := io.ReadAll(conn); err != nil || !bytes.HasPrefix(b, []byte("+PONG")) {
		t.Errorf("after a half close: %q, %v", b, err)
	}
	other, err := net.Dial("tcp", p.Addr())
	must(t, err)
	defer other.Close()
	ping(t, other)
	must(t, s.Kill(ctx))
	if _, err := other.Read(make([]byte, 1)); err == nil {
		t.Error("the server's death is not passed on")
	}
	if _, err := dialAndRead(p.Addr()); err == nil {
		t.Error("a connection to a dead server answers")
	}
}

func TestProxyLatencyDelaysTogether(t *testing.T) {
	const latency = 100 * time.Millisecond
	ctx := deadline(t)
	_, p, c := startProxied(t)
	must(t, c.Ping(ctx).Err())
	p.SetLatency(latency)
	start := time.Now()
	must(t, c.Ping(ctx).Err())
	if took := time.Since(start); took < latency {
		t.Errorf("a round trip took %v, want at least %v", took, latency)
	}
	p.SetLatency(0)
	must(t, c.Ping(ctx).Err())
}

func TestProxyCloseEndsDelayedReplies(t *testing.T) {
	_, p, _ := startProxied(t)
	conn, err := net.Dial("tcp", p.Addr())
	must(t, err)
	defer conn.Close()
	p.SetLatency(time.Hour)
	_, err = io.WriteString(conn, "PING\r\n")
	must(t, err)
	must(t, p.Close())
	must(t, p.Close())
	if err := p.Accept(deadline(t)); err == nil {
		t.Error("a closed proxy accepts")
	}
	if _, err := conn.Read(make([]byte, 1)); err == nil {
		t.Error("the connection survived")
	}
}

func TestProxyTargetNeedsAPort(t *testing.T) {
	if _, err := StartProxy(deadline(t), "localhost"); err == nil {
		t.Error("accepted")
	}
}

func ping(t *testing.T, conn net.Conn) {
	t.Helper()
	_, err := io.WriteString(conn, "PING\r\n")
	must(t, err)
	readLine(t, conn)
}

func readLine(t *testing.T, conn net.Conn) {
	t.Helper()
	must(t, conn.SetReadDeadline(time.Now().Add(time.Minute)))
	_, err := io.ReadFull(conn, make([]byte, len("+PONG\r\n")))
	must(t, err)
}

func dialAndRead(addr string) (int, error) {
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		return 0, err
	}
	defer conn.Close()
	return conn.Read(make([]byte, 1))
}

func tcpAddr(t *testing.T, addr string) *net.TCPAddr {
	t.Helper()
	a, err := net.ResolveTCPAddr("tcp", addr)
	must(t, err)
	return a
}
