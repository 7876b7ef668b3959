package testbed

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
)

// EtcdServer is an etcd v3.7 in a separate process: a single server, or a member of
// an EtcdGroup. Its data is kept over restarts.
//
// Start returns when the process answers; a member of a cluster does that
// without a quorum as well (see EtcdGroup.WaitOK).
type EtcdServer struct {
	*member
	config *etcdConfig
	name   string
}

// StartEtcd starts one etcd and returns when it serves. The caller must Close
// it. The first start builds the program, see BuildServers.
func StartEtcd(ctx context.Context, opts ...EtcdOption) (*EtcdServer, error) {
	g, err := startEtcdGroup(ctx, 1, opts)
	if err != nil {
		return nil, err
	}
	return g.Nodes[0], nil
}

// URL is "etcd://127.0.0.1:PORT", or "etcds://…" for a server that speaks TLS.
// It holds no password.
func (s *EtcdServer) URL() string { return etcdURL(nil, s) }

// URLFor is URL with a user's name and password.
func (s *EtcdServer) URLFor(user, password string) string {
	return etcdURL(url.UserPassword(user, password), s)
}

func etcdURL(user *url.Userinfo, servers ...*EtcdServer) string {
	u := url.URL{Scheme: "etcd", User: user, Host: strings.Join(addrs(servers), ",")}
	if servers[0].config.tls {
		u.Scheme = "etcds"
	}
	return u.String()
}

// metricsURL is the URL of a page of the server's own health and metrics, which
// need neither TLS nor a user.
func (s *EtcdServer) metricsURL(page string) string { return "http://" + s.ports[2].addr() + page }

// healthyEtcd succeeds when the server serves, which requires a leader.
func healthyEtcd(ctx context.Context, s *EtcdServer) error {
	_, err := httpGet(ctx, s.metricsURL("/health"))
	return err
}

// alive succeeds when the process answers.
func (s *EtcdServer) alive(ctx context.Context) error {
	_, err := httpGet(ctx, s.metricsURL("/livez"))
	return err
}

// leads says whether the server leads, in its own view.
func (s *EtcdServer) leads(ctx context.Context) (bool, error) {
	page, err := httpGet(ctx, s.metricsURL("/metrics"))
	return bytes.Contains(page, []byte("\netcd_server_is_leader 1\n")), err
}

// Client is a client of the server, with all rights. The caller must close
// it.
func (s *EtcdServer) Client() (*clientv3.Client, error) { return etcdClient(s) }

func etcdClient(servers ...*EtcdServer) (*clientv3.Client, error) {
	first := servers[0]
	c := clientv3.Config{DialTimeout: 2 * time.Second, Logger: zap.NewNop()}
	for _, s := range servers {
		c.Endpoints = append(c.Endpoints, s.config.scheme()+"://"+s.Addr())
	}
	if first.config.password != "" {
		c.Username, c.Password = "root", first.config.password
	}
	if first.certs != nil {
		var err error
		if c.TLS, err = first.certs.ClientConfig(); err != nil {
			return nil, err
		}
	}
	client, err := clientv3.New(c)
	if err != nil {
		return nil, fmt.Errorf("testbed: etcd client: %w", err)
	}
	return client, nil
}

// authenticate creates the user root and turns authentication on.
func (s *EtcdServer) authenticate(ctx context.Context) (err error) {
	open := *s.config
	open.password = ""
	c, err := etcdClient(&EtcdServer{member: s.member, config: &open})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, c.Close()) }()
	if _, err := c.UserAdd(ctx, "root", s.config.password); err != nil {
		return err
	}
	if _, err := c.UserGrantRole(ctx, "root", "root"); err != nil {
		return err
	}
	_, err = c.AuthEnable(ctx)
	return err
}
