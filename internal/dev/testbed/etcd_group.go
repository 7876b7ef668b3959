package testbed

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
)

// EtcdGroup is an etcd cluster.
type EtcdGroup struct {
	Nodes []*EtcdServer
}

// StartEtcdCluster starts a cluster of n members and returns when all serve.
// The options hold for every member; with EtcdTLS all have the same
// certificates. The caller must Close it.
func StartEtcdCluster(ctx context.Context, n int, opts ...EtcdOption) (*EtcdGroup, error) {
	if n < 2 {
		return nil, fmt.Errorf("testbed: etcd: a cluster of %d members", n)
	}
	return startEtcdGroup(ctx, n, opts)
}

func startEtcdGroup(ctx context.Context, n int, opts []EtcdOption) (*EtcdGroup, error) {
	config, err := newEtcdConfig(opts)
	if err != nil {
		return nil, err
	}
	return startGroup(ctx, func(program string) (*EtcdGroup, error) { return newEtcdGroup(program, n, config) })
}

func newEtcdGroup(program string, n int, config *etcdConfig) (*EtcdGroup, error) {
	g := &EtcdGroup{}
	var peers []string
	for i := range n {
		m, err := newMember("etcd", 3) // for clients, peers and metrics
		if err != nil {
			return nil, errors.Join(err, g.Close())
		}
		s := &EtcdServer{member: m, config: config, name: fmt.Sprintf("n%d", i)}
		s.spec.path = program
		g.Nodes = append(g.Nodes, s)
		peers = append(peers, s.name+"=http://"+s.ports[1].addr())
	}
	if config.tls {
		certs, err := NewCertificates(g.Nodes[0].Dir())
		if err != nil {
			return nil, errors.Join(err, g.Close())
		}
		for _, s := range g.Nodes {
			s.certs = certs
		}
	}
	for _, s := range g.Nodes {
		s.spec.args = config.commandLine(s, strings.Join(peers, ","))
		s.spec.ready = s.alive
		if n == 1 {
			s.spec.ready = func(ctx context.Context) error { return healthyEtcd(ctx, s) }
		}
	}
	return g, nil
}

// start starts all members and sets the cluster up. On failure nothing is left.
func (g *EtcdGroup) start(ctx context.Context) error {
	if err := startAll(ctx, g.Nodes); err != nil {
		return err
	}
	err := g.WaitOK(ctx)
	if err == nil && g.Nodes[0].config.password != "" {
		err = g.Nodes[0].authenticate(ctx)
	}
	if err != nil {
		return fmt.Errorf("testbed: etcd: %w", errors.Join(err, g.Close()))
	}
	return nil
}

// URL is "etcd://127.0.0.1:PORT1,127.0.0.1:PORT2,…". It holds no password.
func (g *EtcdGroup) URL() string { return etcdURL(nil, g.Nodes...) }

// URLFor is URL with a user's name and password.
func (g *EtcdGroup) URLFor(user, password string) string {
	return etcdURL(url.UserPassword(user, password), g.Nodes...)
}

// Client is a client of all members, with all rights. The caller must close
// it.
func (g *EtcdGroup) Client() (*clientv3.Client, error) { return etcdClient(g.Nodes...) }

// WaitOK waits until every running member serves, which requires a quorum and a
// leader.
func (g *EtcdGroup) WaitOK(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, groupTimeout)
	defer cancel()
	err := poll(ctx, func(ctx context.Context) error { return all(ctx, g.Nodes, healthyEtcd) })
	if err != nil {
		return fmt.Errorf("testbed: etcd cluster: %w", err)
	}
	return nil
}

// Leader is the running member that leads, in its own view. It waits for one.
// Paused members cannot be asked, and cost a second each.
func (g *EtcdGroup) Leader(ctx context.Context) (leader *EtcdServer, err error) {
	ctx, cancel := context.WithTimeout(ctx, groupTimeout)
	defer cancel()
	err = poll(ctx, func(ctx context.Context) error {
		leader = g.leader(ctx)
		if leader == nil {
			return errors.New("no running member leads")
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("testbed: etcd cluster: %w", err)
	}
	return leader, nil
}

func (g *EtcdGroup) leader(ctx context.Context) *EtcdServer {
	for _, s := range g.Nodes {
		if !s.Running() {
			continue
		}
		if leads, err := s.leads(ctx); err == nil && leads {
			return s
		}
	}
	return nil
}

// KillLeader kills the leader and waits until another member leads and the rest
// serves. The old one stays dead until it is started.
func (g *EtcdGroup) KillLeader(ctx context.Context) (old, elected *EtcdServer, err error) {
	if old, err = g.Leader(ctx); err != nil {
		return nil, nil, err
	}
	if err = old.Kill(ctx); err != nil {
		return old, nil, err
	}
	if elected, err = g.Leader(ctx); err != nil {
		return old, nil, err
	}
	return old, elected, g.WaitOK(ctx)
}

// MoveLeader hands leadership to another member without ending any.
func (g *EtcdGroup) MoveLeader(ctx context.Context) (err error) {
	leader, err := g.Leader(ctx)
	if err != nil {
		return err
	}
	c, err := leader.Client()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, c.Close()) }()
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	members, err := c.MemberList(ctx)
	if err != nil {
		return err
	}
	for _, m := range members.Members {
		if m.ID != members.Header.MemberId {
			_, err = c.MoveLeader(ctx, m.ID)
			return err
		}
	}
	return errors.New("testbed: etcd cluster: there is no other member")
}

// Kill kills all members at once.
func (g *EtcdGroup) Kill(ctx context.Context) error {
	return atOnce(g.Nodes, func(s *EtcdServer) error { return s.Kill(ctx) })
}

// Start starts all members at once, and waits as WaitOK does.
func (g *EtcdGroup) Start(ctx context.Context) error {
	err := atOnce(g.Nodes, func(s *EtcdServer) error { return s.Start(ctx) })
	return errors.Join(err, g.WaitOK(ctx))
}

// Log is the end of the logs of all members.
func (g *EtcdGroup) Log() string { return logs(g.Nodes) }

// Close kills all members.
func (g *EtcdGroup) Close() error { return closeAll(g.Nodes) }
