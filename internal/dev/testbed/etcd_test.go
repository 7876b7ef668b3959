package testbed

import (
	"context"
	"os"
	"strings"
	"testing"

	clientv3 "go.etcd.io/etcd/client/v3"
)

func etcdTestClient(t *testing.T, s interface {
	Client() (*clientv3.Client, error)
}) *clientv3.Client {
	t.Helper()
	c, err := s.Client()
	must(t, err)
	t.Cleanup(func() { _ = c.Close() })
	return c
}

func etcdGet(t *testing.T, c *clientv3.Client, key string) string {
	t.Helper()
	res, err := c.Get(deadline(t), key)
	must(t, err)
	if len(res.Kvs) == 0 {
		return ""
	}
	return string(res.Kvs[0].Value)
}

func TestBuildServersOnce(t *testing.T) {
	first, err := BuildServers(t.Context())
	must(t, err)
	before, err := os.Stat(first)
	must(t, err)
	second, err := BuildServers(t.Context())
	must(t, err)
	after, err := os.Stat(second)
	must(t, err)
	if first != second || !before.ModTime().Equal(after.ModTime()) {
		t.Errorf("built twice: %s, %s", first, second)
	}
}

func TestEtcdKeepsDataOverKillAndRestart(t *testing.T) {
	ctx := deadline(t)
	s := Etcd(t)
	c := etcdTestClient(t, s)
	addr, pid := s.Addr(), s.PID()
	must(t, func() error { _, err := c.Put(ctx, "k", "kept"); return err }())
	for _, end := range []func(context.Context) error{s.Kill, s.Stop} {
		must(t, end(ctx))
		if s.Running() {
			t.Fatal("it still runs")
		}
		must(t, s.Start(ctx))
		if got := etcdGet(t, c, "k"); got != "kept" {
			t.Errorf("after a restart k = %q", got)
		}
	}
	if s.Addr() != addr || s.PID() == pid {
		t.Errorf("addr %s → %s, pid %d → %d", addr, s.Addr(), pid, s.PID())
	}
}

func TestEtcdPauseAndContinue(t *testing.T) {
	ctx := deadline(t)
	s := Etcd(t)
	must(t, s.Pause(ctx))
	if err := healthyEtcd(ctx, s); err == nil {
		t.Error("a paused server answers")
	}
	must(t, s.Continue(ctx))
	must(t, poll(ctx, func(ctx context.Context) error { return healthyEtcd(ctx, s) }))
}

func TestEtcdAuthenticationAndTLS(t *testing.T) {
	ctx := deadline(t)
	s := Etcd(t, EtcdTLS(true), EtcdRootPassword("secret"))
	if want := "etcds://root:secret@" + s.Addr(); s.URLFor("root", "secret") != want {
		t.Errorf("URLFor = %q, want %q", s.URLFor("root", "secret"), want)
	}
	c := etcdTestClient(t, s)
	must(t, func() error { _, err := c.Put(ctx, "k", "v"); return err }())
	wrong := *s.config
	wrong.password = ""
	anonymous, err := etcdClient(&EtcdServer{member: s.member, config: &wrong})
	must(t, err)
	defer anonymous.Close()
	// The client's certificate names no user.
	if _, err := anonymous.Put(ctx, "k", "v"); err == nil {
		t.Error("it serves a client that names no user")
	}
}

func TestEtcdClusterElectsAnotherLeader(t *testing.T) {
	ctx := deadline(t)
	g := EtcdCluster(t, 3)
	if strings.Count(g.URL(), ",") != 2 {
		t.Errorf("URL() = %q", g.URL())
	}
	c := etcdTestClient(t, g)
	must(t, func() error { _, err := c.Put(ctx, "k", "kept"); return err }())
	old, elected, err := g.KillLeader(ctx)
	must(t, err)
	if old == elected || old.Running() || !elected.Running() {
		t.Errorf("leader %s → %s", old.name, elected.name)
	}
	if got := etcdGet(t, c, "k"); got != "kept" {
		t.Errorf("after the election k = %q", got)
	}
	must(t, old.Start(ctx))
	must(t, g.WaitOK(ctx))
	must(t, g.MoveLeader(ctx))
	if got, err := g.Leader(ctx); err != nil || got == elected {
		t.Errorf("after MoveLeader %v leads: %v", got.name, err)
	}
}

func TestEtcdStartsWithoutAQuorum(t *testing.T) {
	ctx := deadline(t)
	g := EtcdCluster(t, 3)
	for _, s := range g.Nodes {
		must(t, s.Kill(ctx))
	}
	must(t, g.Nodes[0].Start(ctx))
	if err := healthyEtcd(ctx, g.Nodes[0]); err == nil {
		t.Error("one of three serves")
	}
	must(t, g.Nodes[1].Start(ctx))
	must(t, g.WaitOK(ctx))
}

func TestEtcdRefusesUnknownFlags(t *testing.T) {
	s, err := StartEtcd(deadline(t), EtcdArgs("--no-such-flag"))
	if err == nil {
		t.Fatal("started", s.Close())
	}
	if !strings.Contains(err.Error(), "no-such-flag") {
		t.Errorf("the error says nothing of the flag: %v", err)
	}
}
