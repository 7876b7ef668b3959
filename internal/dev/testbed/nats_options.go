package testbed

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// NATSOption changes how a nats-server or a cluster of them is set up.
type NATSOption func(*natsConfig) error

type natsConfig struct {
	lines   []string
	sync    string
	storage string
	limits  string
	auth    string
	tls     bool
	tlsAuth bool // demand a client certificate
}

// NATSConf adds lines to the end of the configuration file: "max_payload: 64KB".
func NATSConf(lines ...string) NATSOption {
	return func(c *natsConfig) error {
		c.lines = append(c.lines, lines...)
		return nil
	}
}

// NATSSync sets JetStream's sync_interval: "always", or an interval ("1s",
// "2m", which is the server's default).
func NATSSync(interval string) NATSOption {
	return func(c *natsConfig) error {
		c.sync = interval
		return nil
	}
}

// NATSLimits sets JetStream's limits: "duplicate_window: 1s, max_ack_pending: 100".
func NATSLimits(limits string) NATSOption {
	return func(c *natsConfig) error {
		c.limits = limits
		return nil
	}
}

// NATSUser demands a user's name and password.
func NATSUser(name, password string) NATSOption {
	return natsAuth(fmt.Sprintf("user: %q, password: %q", name, password), name, password)
}

// NATSToken demands a token.
func NATSToken(token string) NATSOption {
	return natsAuth(fmt.Sprintf("token: %q", token), token)
}

// NATSNKey demands the signature of an NKey, whose public part this is.
func NATSNKey(public string) NATSOption {
	return natsAuth(fmt.Sprintf("users: [{nkey: %q}]", public), public)
}

func natsAuth(block string, values ...string) NATSOption {
	return func(c *natsConfig) error {
		if slices.Contains(values, "") {
			return errors.New("a NATS user, password, token or key must not be empty")
		}
		if c.auth != "" {
			return errors.New("only one of NATSUser, NATSToken and NATSNKey may be used")
		}
		c.auth = block
		return nil
	}
}

// NATSTLS makes the clients' port accept TLS only, with certificates made for the
// server. With demandClientCert, a client must present a certificate, too.
func NATSTLS(demandClientCert bool) NATSOption {
	return func(c *natsConfig) error {
		c.tls, c.tlsAuth = true, demandClientCert
		return nil
	}
}

func newNATSConfig(opts []NATSOption) (*natsConfig, error) {
	c := &natsConfig{}
	for _, o := range opts {
		if err := o(c); err != nil {
			return nil, fmt.Errorf("testbed: %w", err)
		}
	}
	return c, nil
}

// file is the text of one server's configuration. routes are the addresses of
// all members of its cluster, if it is in one.
func (c *natsConfig) file(s *NATSServer, routes []string) string {
	jetstream := fmt.Sprintf("store_dir: %q", s.path("data"))
	if c.sync != "" {
		jetstream += ", sync_interval: " + c.sync
	}
	if c.storage != "" {
		jetstream += ", max_file_store: " + c.storage
	}
	if c.limits != "" {
		jetstream += ", limits: { " + c.limits + " }"
	}
	lines := []string{
		"listen: " + s.Addr(), "http: " + s.ports[1].addr(), "server_name: " + s.name,
		"jetstream { " + jetstream + " }",
	}
	if c.auth != "" {
		lines = append(lines, "authorization { "+c.auth+" }")
	}
	if c.tls {
		lines = append(lines, fmt.Sprintf("tls { cert_file: %q, key_file: %q, ca_file: %q, verify: %t }",
			s.certs.ServerCert, s.certs.ServerKey, s.certs.CA, c.tlsAuth))
	}
	if len(routes) > 0 {
		lines = append(lines, fmt.Sprintf("cluster { name: testbed, listen: %s, routes: [ %s ] }",
			s.ports[2].addr(), strings.Join(routes, ", ")))
	}
	return strings.Join(slices.Concat(lines, c.lines), "\n") + "\n"
}
