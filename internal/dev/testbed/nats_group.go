package testbed

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
)

// NATSGroup is a cluster of nats-servers.
type NATSGroup struct {
	Nodes []*NATSServer
}

// natsElection is how long the servers of a cluster wait for a leader at least
// before they choose another. The 4 to 9 seconds of an unchanged server would be
// most of the time of tests of outages; etcd takes 1 second.
const natsElection = "1500ms"

// StartNATSCluster starts a cluster of n servers and returns when all serve
// and agree on JetStream's leader. They elect leaders faster than unchanged
// servers do (1.5 to 3.4 seconds, not 4 to 9). The options hold for every server; with
// NATSTLS all have the same certificates. The caller must Close it.
func StartNATSCluster(ctx context.Context, n int, opts ...NATSOption) (*NATSGroup, error) {
	if n < 2 {
		return nil, fmt.Errorf("testbed: nats-server: a cluster of %d servers", n)
	}
	return startNATSGroup(ctx, n, opts)
}

func startNATSGroup(ctx context.Context, n int, opts []NATSOption) (*NATSGroup, error) {
	config, err := newNATSConfig(opts)
	if err != nil {
		return nil, err
	}
	return startGroup(ctx, func(program string) (*NATSGroup, error) { return newNATSGroup(program, n, config) })
}

func newNATSGroup(program string, n int, config *natsConfig) (*NATSGroup, error) {
	g := &NATSGroup{}
	for i := range n {
		m, err := newMember("nats", 3) // for clients, monitoring and routes
		if err != nil {
			return nil, errors.Join(err, g.Close())
		}
		s := &NATSServer{member: m, config: config, name: fmt.Sprintf("n%d", i)}
		s.spec.path, s.spec.args = program, []string{"nats-server", "-c", "nats.conf"}
		s.spec.env = []string{"FAIRLEAD_TESTBED_NATS_ELECTION=" + natsElection}
		s.spec.ready = s.alive
		g.Nodes = append(g.Nodes, s)
	}
	if err := g.writeFiles(config); err != nil {
		return nil, errors.Join(err, g.Close())
	}
	return g, nil
}

// writeFiles writes the files that the servers read when they start.
func (g *NATSGroup) writeFiles(config *natsConfig) (err error) {
	var certs *Certificates
	if config.tls {
		if certs, err = NewCertificates(g.Nodes[0].Dir()); err != nil {
			return err
		}
	}
	var routes []string
	if len(g.Nodes) > 1 {
		for _, s := range g.Nodes {
			routes = append(routes, fmt.Sprintf("%q", "nats://"+s.ports[2].addr()))
		}
	}
	for _, s := range g.Nodes {
		s.certs = certs
		if err := os.WriteFile(s.path("nats.conf"), []byte(config.file(s, routes)), 0o600); err != nil {
			return err
		}
	}
	return nil
}

// start starts all servers. If one fails, all are closed.
func (g *NATSGroup) start(ctx context.Context) error {
	if err := startAll(ctx, g.Nodes); err != nil {
		return err
	}
	if err := g.WaitOK(ctx); err != nil {
		return errors.Join(err, g.Close())
	}
	return nil
}

// URL is "nats://127.0.0.1:PORT1,127.0.0.1:PORT2,…", without credentials.
func (g *NATSGroup) URL() string { return natsURL(nil, g.Nodes...) }

// URLFor is URL with a user's name and password, or a token for a name.
func (g *NATSGroup) URLFor(user, password string) string {
	return natsURL(natsUser(user, password), g.Nodes...)
}

// MonitorURLs are the URLs of the members' monitoring pages.
func (g *NATSGroup) MonitorURLs() []string {
	var urls []string
	for _, s := range g.Nodes {
		u := url.URL{Scheme: "http", Host: s.ports[1].addr()}
		urls = append(urls, u.String())
	}
	return urls
}

// WaitOK waits until every running server and its streams serve and, in a
// cluster, all agree on JetStream's leader.
func (g *NATSGroup) WaitOK(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, groupTimeout)
	defer cancel()
	err := poll(ctx, func(ctx context.Context) error {
		if err := all(ctx, g.Nodes, healthyNATS); err != nil || len(g.Nodes) == 1 {
			return err
		}
		_, err := g.agreed(ctx, g.metaLeader)
		return err
	})
	if err != nil {
		return fmt.Errorf("testbed: NATS cluster: %w", err)
	}
	return nil
}

// metaLeader is the name of JetStream's leader in the view of s.
func (g *NATSGroup) metaLeader(ctx context.Context, s *NATSServer) (string, error) {
	state, err := s.jetStream(ctx)
	if err == nil && state.Meta.Size != len(g.Nodes) {
		err = fmt.Errorf("it knows %d of %d members", state.Meta.Size, len(g.Nodes))
	}
	return state.Meta.Leader, err
}

// agreed is the running server that every running server names.
func (g *NATSGroup) agreed(ctx context.Context, view func(context.Context, *NATSServer) (string, error)) (*NATSServer, error) {
	var leader string
	err := all(ctx, g.Nodes, func(ctx context.Context, s *NATSServer) error {
		name, err := view(ctx, s)
		switch {
		case err != nil:
			return err
		case name == "":
			return errors.New("it knows no leader")
		case leader != "" && name != leader:
			return fmt.Errorf("it names %s as the leader, another one %s", name, leader)
		}
		leader = name
		return nil
	})
	if err != nil {
		return nil, err
	}
	for _, s := range g.Nodes {
		if s.name == leader && s.Running() {
			return s, nil
		}
	}
	return nil, fmt.Errorf("%q, the leader, does not run", leader)
}

// await waits until all running servers agree on one that is not old.
func (g *NATSGroup) await(ctx context.Context, old *NATSServer, view func(context.Context, *NATSServer) (string, error)) (found *NATSServer, err error) {
	ctx, cancel := context.WithTimeout(ctx, groupTimeout)
	defer cancel()
	err = poll(ctx, func(ctx context.Context) (err error) {
		if found, err = g.agreed(ctx, view); err == nil && found == old {
			err = fmt.Errorf("%s still leads", old.name)
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("testbed: NATS cluster: %w", err)
	}
	return found, nil
}

// Leader is JetStream's leader (of the meta group), on which all running
// servers agree. It waits for one.
func (g *NATSGroup) Leader(ctx context.Context) (*NATSServer, error) {
	return g.await(ctx, nil, g.metaLeader)
}

// StreamLeader is the leader of a stream that every server has a replica of. It
// waits for one.
func (g *NATSGroup) StreamLeader(ctx context.Context, stream string) (*NATSServer, error) {
	return g.await(ctx, nil, streamView(stream))
}

func streamView(stream string) func(context.Context, *NATSServer) (string, error) {
	return func(ctx context.Context, s *NATSServer) (string, error) { return s.streamLeader(ctx, stream) }
}

// KillLeader kills JetStream's leader and waits until another is elected. The
// old one stays dead until it is started.
func (g *NATSGroup) KillLeader(ctx context.Context) (old, elected *NATSServer, err error) {
	return g.killLeader(ctx, g.metaLeader)
}

// KillStreamLeader kills the leader of a stream that every server has a replica
// of, and waits until another is elected.
func (g *NATSGroup) KillStreamLeader(ctx context.Context, stream string) (old, elected *NATSServer, err error) {
	return g.killLeader(ctx, streamView(stream))
}

func (g *NATSGroup) killLeader(ctx context.Context, view func(context.Context, *NATSServer) (string, error)) (old, elected *NATSServer, err error) {
	if old, err = g.await(ctx, nil, view); err != nil {
		return nil, nil, err
	}
	if err = old.Kill(ctx); err != nil {
		return old, nil, err
	}
	elected, err = g.await(ctx, old, view)
	return old, elected, err
}

// Kill kills all servers at once.
func (g *NATSGroup) Kill(ctx context.Context) error {
	return atOnce(g.Nodes, func(s *NATSServer) error { return s.Kill(ctx) })
}

// Start starts all servers at once, and waits as WaitOK does.
func (g *NATSGroup) Start(ctx context.Context) error {
	err := atOnce(g.Nodes, func(s *NATSServer) error { return s.Start(ctx) })
	return errors.Join(err, g.WaitOK(ctx))
}

// Log is the end of the logs of all servers.
func (g *NATSGroup) Log() string { return logs(g.Nodes) }

// Close kills all servers.
func (g *NATSGroup) Close() error { return closeAll(g.Nodes) }
