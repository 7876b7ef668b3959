package testbed

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"testing"
	"time"
)

// natsConn speaks just enough of the protocol to ask JetStream.
type natsConn struct {
	net.Conn
	r     *bufio.Reader
	asked int
}

func dialNATS(ctx context.Context, s *NATSServer, options string) (*natsConn, error) {
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", s.Addr())
	if err != nil {
		return nil, err
	}
	if end, ok := ctx.Deadline(); ok {
		_ = conn.SetDeadline(end)
	}
	c := &natsConn{Conn: conn, r: bufio.NewReader(conn)}
	if _, err := c.r.ReadString('\n'); err != nil { // INFO
		return nil, err
	}
	if s.certs != nil {
		config, err := s.certs.ClientConfig()
		if err != nil {
			return nil, err
		}
		config.ServerName = "127.0.0.1"
		c.Conn = tls.Client(conn, config)
		c.r = bufio.NewReader(c.Conn)
	}
	fmt.Fprintf(c, "CONNECT {\"verbose\":false,\"headers\":true%s}\r\nPING\r\n", options)
	line, err := c.r.ReadString('\n')
	if err == nil && !strings.HasPrefix(line, "PONG") {
		err = fmt.Errorf("it answered %q", line)
	}
	return c, err
}

// ask sends a request and returns the reply's payload. A cluster that is still
// arranging its routes may drop either, so the request is sent again, under an
// id by which the server knows a message that it has stored.
func (c *natsConn) ask(subject, payload string) (reply string, err error) {
	end := time.Now().Add(30 * time.Second)
	header := "NATS/1.0\r\nNats-Msg-Id: " + subject + "\r\n\r\n"
	for {
		c.asked++
		fmt.Fprintf(c, "SUB _R.%d %d\r\n", c.asked, c.asked)
		fmt.Fprintf(c, "HPUB %s _R.%d %d %d\r\n%s%s\r\n", subject, c.asked, len(header), len(header)+len(payload), header, payload)
		_ = c.SetReadDeadline(time.Now().Add(2 * time.Second))
		reply, err = c.reply()
		if !errors.Is(err, os.ErrDeadlineExceeded) || time.Now().After(end) {
			return reply, err
		}
	}
}

// reply returns the payload of the reply to the last request.
func (c *natsConn) reply() (string, error) {
	for {
		line, err := c.r.ReadString('\n')
		if err != nil {
			return "", err
		}
		if strings.HasPrefix(line, fmt.Sprintf("MSG _R.%d ", c.asked)) {
			return c.r.ReadString('\n')
		}
	}
}

// store makes a stream with that many replicas, which holds one message.
func storeNATS(ctx context.Context, s *NATSServer, replicas int) error {
	c, err := dialNATS(ctx, s, "")
	if err != nil {
		return err
	}
	defer c.Close()
	got, err := c.ask("$JS.API.STREAM.CREATE.S", fmt.Sprintf(`{"name":"S","subjects":["s"],"num_replicas":%d}`, replicas))
	if err == nil && strings.Contains(got, `"error"`) {
		err = fmt.Errorf("the stream: %s", got)
	}
	if err != nil {
		return err
	}
	if got, err = c.ask("s", "kept"); err == nil && !strings.Contains(got, `"seq":1`) {
		err = fmt.Errorf("the message: %s", got)
	}
	return err
}

// expectStored fails unless the stream of storeNATS is there.
func expectStored(ctx context.Context, s *NATSServer) error {
	c, err := dialNATS(ctx, s, "")
	if err != nil {
		return err
	}
	defer c.Close()
	got, err := c.ask("$JS.API.STREAM.INFO.S", "")
	if err == nil && !strings.Contains(got, `"messages":1,`) {
		err = fmt.Errorf("the stream: %s", got)
	}
	return err
}

func TestNATSKeepsDataOverKillAndRestart(t *testing.T) {
	ctx := deadline(t)
	s := NATS(t)
	must(t, storeNATS(ctx, s, 1))
	for _, end := range []func(context.Context) error{s.Kill, s.Stop} {
		must(t, end(ctx))
		if s.Running() {
			t.Fatal("it still runs")
		}
		must(t, s.Start(ctx))
		must(t, expectStored(ctx, s))
	}
	must(t, s.Pause(ctx))
	if err := healthyNATS(ctx, s); err == nil {
		t.Error("a paused server answers")
	}
	must(t, s.Continue(ctx))
	must(t, poll(ctx, func(ctx context.Context) error { return healthyNATS(ctx, s) }))
}

func TestNATSSyncInterval(t *testing.T) {
	ctx := deadline(t)
	s := NATS(t, NATSSync("always"))
	page, err := httpGet(ctx, s.MonitorURL()+"/jsz?config=true")
	must(t, err)
	var got struct {
		Config struct {
			SyncAlways bool `json:"sync_always"`
		} `json:"config"`
	}
	must(t, json.Unmarshal(page, &got))
	if !got.Config.SyncAlways {
		t.Errorf("sync_interval is not always: %s", page)
	}
}

func TestNATSDemandsCredentials(t *testing.T) {
	ctx := deadline(t)
	for name, test := range map[string]struct {
		option NATSOption
		login  string
	}{
		"user":  {NATSUser("u", "secret"), `,"user":"u","pass":"secret"`},
		"token": {NATSToken("secret"), `,"auth_token":"secret"`},
		"nkey":  {NATSNKey("UC6NLCN7AS34YOJVCYD4PJ3QB7QGLYG5B5IMBT25VW5K4TNUJODM7BOX"), ""},
	} {
		t.Run(name, func(t *testing.T) {
			s := NATS(t, test.option, NATSTLS(true))
			if _, err := dialNATS(ctx, s, ""); err == nil {
				t.Error("it serves the unknown")
			}
			if test.login == "" {
				return
			}
			c, err := dialNATS(ctx, s, test.login)
			must(t, err)
			must(t, c.Close())
		})
	}
	if s, err := StartNATS(ctx, NATSUser("u", "p"), NATSToken("t")); err == nil {
		t.Error("two kinds of credentials", s.Close())
	}
}

func TestNATSClusterElectsAnotherLeader(t *testing.T) {
	ctx := deadline(t)
	g := NATSCluster(t, 3)
	must(t, storeNATS(ctx, g.Nodes[0], 3))
	old, elected, err := g.KillLeader(ctx)
	must(t, err)
	if old == elected || old.Running() {
		t.Errorf("leader %s → %s", old.name, elected.name)
	}
	must(t, old.Start(ctx))
	must(t, g.WaitOK(ctx))
	old, elected, err = g.KillStreamLeader(ctx, "S")
	must(t, err)
	if old == elected || old.Running() {
		t.Errorf("stream leader %s → %s", old.name, elected.name)
	}
	must(t, expectStored(ctx, elected))
	must(t, old.Start(ctx))
	must(t, g.WaitOK(ctx))
}
