package redis

import (
	"crypto/tls"
	"net"
	"slices"
	"strconv"
	"strings"
	"time"

	"fairlead.dev/providers"
)

// The ways in which Redis servers are arranged.
const (
	standalone = "standalone"
	sentinel   = "sentinel"
	cluster    = "cluster"
)

// settings declares the settings of the URL.
func settings() []providers.Setting {
	const ms, s, h = int64(time.Millisecond), int64(time.Second), int64(time.Hour)
	return append([]providers.Setting{
		{Name: "mode", Kind: providers.Enum, Values: []string{standalone, sentinel, cluster},
			Help: "how the servers are arranged; by default sentinel if master-name is given, cluster for several hosts or a host in cluster mode, else standalone"},
		{Name: "master-name", Kind: providers.String, Help: "name of the primary that the Sentinels monitor; the hosts of the URL are then the Sentinels"},
		{Name: "sentinel-user", Kind: providers.String, Help: "ACL user of the Sentinels"},
		{Name: "prefix", Kind: providers.String, Default: "fairlead", Help: "start of the names of all keys in Redis; providers with different prefixes share no stores, topics or services"},
		{Name: "dial-timeout", Kind: providers.Duration, Default: "2s", Min: 10 * ms, Max: h, Help: "longest wait for a connection"},
		{Name: "read-timeout", Kind: providers.Duration, Default: "3s", Min: 10 * ms, Max: h, Help: "longest wait for a reply, even if the context allows more"},
		{Name: "write-timeout", Kind: providers.Duration, Default: "3s", Min: 10 * ms, Max: h, Help: "longest wait until the server accepts a request, even if the context allows more"},
		{Name: "pool-size", Kind: providers.Int, Default: "32", Min: 2, Max: 10_000, Help: "greatest number of connections to one server; a waiting watcher or subscription has one of its own in addition"},
		{Name: "probe-interval", Kind: providers.Duration, Default: "2s", Min: 50 * ms, Max: 60 * s, Help: "how often the server's settings are probed and the expiry of keys is reported"},
		{Name: "assert-durable", Kind: providers.Bool, Default: "false", Help: "the operator asserts appendonly yes, appendfsync always and no-appendfsync-on-rewrite no, where CONFIG GET is denied"},
		{Name: "watch-history", Kind: providers.Int, Default: "10000", Min: 1, Max: 100_000_000, Help: "least number of changes that a store keeps for watchers that resume"},
		{Name: "rpc-lease", Kind: providers.Duration, Default: "10s", Min: s, Max: h, Help: "how long the address of a killed rpc server stays in the directory"},
	}, slices.Concat(providers.SecretSettings("sentinel-password", "the password of the Sentinels"), providers.TLSSettings("rediss"), pubsubSettings(), providers.PasswordSettings())...)
}

// config is the validated content of the URL.
type config struct {
	mode       string // empty: the first probe decides
	hosts      []string
	db         int
	user       string
	password   providers.Hidden
	masterName string

	sentinelUser     string
	sentinelPassword providers.Hidden

	tls           *tls.Config
	prefix        string
	dialTimeout   time.Duration
	readTimeout   time.Duration
	writeTimeout  time.Duration
	poolSize      int
	probeInterval time.Duration
	assertDurable bool
	history       int
	rpcLease      time.Duration
	pubsub        pubsubConfig
}

func newConfig(s providers.Settings) (config, error) {
	c := config{
		mode: s.String("mode"), hosts: s.Hosts("6379"), masterName: s.String("master-name"),
		sentinelUser: s.String("sentinel-user"), prefix: s.String("prefix"),
		dialTimeout: s.Duration("dial-timeout"), readTimeout: s.Duration("read-timeout"),
		writeTimeout: s.Duration("write-timeout"), poolSize: s.Int("pool-size"),
		probeInterval: s.Duration("probe-interval"), assertDurable: s.Bool("assert-durable"),
		history: s.Int("watch-history"), rpcLease: s.Duration("rpc-lease"), pubsub: newPubsubConfig(s),
	}
	for _, step := range []func(providers.Settings) error{c.setAddress, c.setMode, c.setCredentials, c.setTLS} {
		if err := step(s); err != nil {
			return config{}, err
		}
	}
	return c, nil
}

func (c *config) setAddress(s providers.Settings) error {
	if len(c.hosts) == 0 {
		return invalidf("the URL names no host; write for example redis://127.0.0.1:6379")
	}
	if c.prefix == "" || strings.ContainsAny(c.prefix, "{}") {
		return invalidf("the setting \"prefix\" must not be empty and must not contain { or }, which select the hash slot")
	}
	for _, host := range c.hosts {
		if err := checkPort(host); err != nil {
			return err
		}
	}
	path := strings.Trim(s.URL.Path, "/")
	if path == "" {
		return nil
	}
	db, err := strconv.ParseUint(path, 10, 16)
	if err != nil {
		return invalidf("the path of the URL must be the number of the database, for example redis://host/1%s", escapeHint)
	}
	c.db = int(db)
	return nil
}

// escapeHint ends the errors that do not quote a part of the URL, because it may
// be a part of the password.
const escapeHint = "; in a password, write / as %2F, ? as %3F and # as %23"

func checkPort(host string) error {
	_, port, err := net.SplitHostPort(host)
	if err != nil {
		return invalidf("a host of the URL cannot be read; write name:port, 1.2.3.4:port or [::1]:port%s", escapeHint)
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
		return invalidf("a port in the URL is not a number from 1 to 65535%s", escapeHint)
	}
	return nil
}

func (c *config) setMode(s providers.Settings) error {
	switch {
	case c.mode == "" && c.masterName != "":
		c.mode = sentinel
	case c.mode == "" && len(c.hosts) > 1:
		c.mode = cluster
	}
	switch {
	case c.mode == sentinel && c.masterName == "":
		return invalidf("mode sentinel requires the setting \"master-name\", the name of the primary that the Sentinels monitor")
	case c.mode != sentinel && (c.masterName != "" || s.Given("sentinel-user") || s.Given("sentinel-password-env") || s.Given("sentinel-password-file")):
		return invalidf("the settings \"master-name\" and \"sentinel-…\" require mode sentinel; the mode is %s", c.mode)
	case c.mode == standalone && len(c.hosts) > 1:
		return invalidf("mode standalone takes one host, the URL names %d; several hosts are the nodes of a cluster, or Sentinels with \"master-name\"", len(c.hosts))
	case c.mode == cluster && c.db != 0:
		return invalidf("a cluster has only the database 0; remove /%d from the URL", c.db)
	}
	return nil
}

func (c *config) setCredentials(s providers.Settings) error {
	password, err := s.Password()
	if err != nil {
		return err
	}
	c.password = providers.Hide(password)
	if s.URL.User != nil {
		c.user = s.URL.User.Username()
	}
	if c.user != "" && c.password == nil {
		return invalidf("the URL names a user but no password; give the password as user:password@, in \"password-env\" or in \"password-file\"")
	}
	ofSentinels, err := s.Secret("sentinel-password")
	c.sentinelPassword = providers.Hide(ofSentinels)
	return err
}

func (c *config) setTLS(s providers.Settings) (err error) {
	c.tls, err = s.TLS("rediss")
	return err
}
