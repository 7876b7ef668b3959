package testbed

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"net"
	"strings"
	"testing"
)

// natsConn speaks just enough of the protocol to ask JetStream.
type natsConn struct {
	net.Conn
	r *bufio.Reader
}

func dialNATS(ctx context.Context, s *NATSServer, options string) (*natsConn, error) {
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", s.Addr())
	if err != nil {
		return nil, err
	}
	if end, ok := ctx.Deadline(); ok {
		_ = conn.SetDeadline(end)
	}
	c := &natsConn{conn, bufio.NewReader(conn)}
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
	fmt.Fprintf(c, "CONNECT {\"verbose\":false%s}\r\nPING\r\n", options)
	line, err := c.r.ReadString('\n')
	if err == nil && !strings.HasPrefix(line, "PONG") {
		err = fmt.Errorf("it answered %q", line)
	}
	return c, err
}

// ask sends a request and returns the reply's payload.
func (c *natsConn) ask(subject, payload string) (string, error) {
	fmt.Fprintf(c, "SUB _R 1\r\nPUB %s _R %d\r\n%s\r\n", subject, len(payload), payload)
	for {
		line, err := c.r.ReadString('\n')
		if err != nil {
			return "", err
		}
		if strings.HasPrefix(line, "MSG ") {
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
