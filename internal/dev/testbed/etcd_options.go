package testbed

import (
	"errors"
	"fmt"
	"slices"
)

// EtcdOption changes how an etcd server or cluster is set up.
type EtcdOption func(*etcdConfig) error

type etcdConfig struct {
	args     []string
	tls      bool
	tlsAuth  bool // demand a client certificate
	password string
}

// EtcdArgs adds flags of etcd itself, after all others: "--unsafe-no-fsync",
// "--max-txn-ops=64".
func EtcdArgs(args ...string) EtcdOption {
	return func(c *etcdConfig) error {
		c.args = append(c.args, args...)
		return nil
	}
}

// EtcdTLS makes the clients' port accept TLS only, with certificates made for the
// server. With demandClientCert, a client must present a certificate, too.
func EtcdTLS(demandClientCert bool) EtcdOption {
	return func(c *etcdConfig) error {
		c.tls, c.tlsAuth = true, demandClientCert
		return nil
	}
}

// EtcdRootPassword turns authentication on, with the user "root" of this
// password.
func EtcdRootPassword(password string) EtcdOption {
	return func(c *etcdConfig) error {
		if password == "" {
			return errors.New("EtcdRootPassword: it must not be empty")
		}
		c.password = password
		return nil
	}
}

func newEtcdConfig(opts []EtcdOption) (*etcdConfig, error) {
	c := &etcdConfig{}
	for _, o := range opts {
		if err := o(c); err != nil {
			return nil, fmt.Errorf("testbed: %w", err)
		}
	}
	return c, nil
}

func (c *etcdConfig) scheme() string {
	if c.tls {
		return "https"
	}
	return "http"
}

// commandLine are the arguments of one member. cluster is the value of
// --initial-cluster.
func (c *etcdConfig) commandLine(s *EtcdServer, cluster string) []string {
	client, peer := c.scheme()+"://"+s.Addr(), "http://"+s.ports[1].addr()
	args := []string{
		"etcd", "--name=" + s.name, "--data-dir=" + s.path("data"),
		"--listen-client-urls=" + client, "--advertise-client-urls=" + client,
		"--listen-peer-urls=" + peer, "--initial-advertise-peer-urls=" + peer,
		"--listen-metrics-urls=" + s.metricsURL(""),
		"--initial-cluster=" + cluster, "--initial-cluster-token=testbed",
		"--logger=zap", "--log-level=error",
	}
	if c.tls {
		args = append(args, "--cert-file="+s.certs.ServerCert, "--key-file="+s.certs.ServerKey)
	}
	if c.tlsAuth {
		args = append(args, "--client-cert-auth", "--trusted-ca-file="+s.certs.CA)
	}
	return slices.Concat(args, c.args)
}
