package redis

import (
	"crypto/tls"
	"slices"
	"strconv"
	"strings"
	"time"

	"fairlead.dev"

	"fairlead.dev/providers"
)

// The ways in which Redis servers are arranged.
const (
	standalone = "standalone"
	sentinel   = "sentinel"
	cluster    = "cluster"
)

// settings declares the parameters of the URL.
func settings() []providers.Setting {
	const ms, s, h = int64(time.Millisecond), int64(time.Second), int64(time.Hour)
	return append([]providers.Setting{
		{Name: "mode", Kind: providers.Enum, Values: []string{standalone, sentinel, cluster},
			Help: "how the servers are arranged; without it: sentinel if master-name is given, cluster for several hosts or a host in cluster mode, else standalone"},
		{Name: "master-name", Kind: providers.String, Help: "name of the primary that the Sentinels watch; the hosts of the URL are then the Sentinels"},
		{Name: "sentinel-user", Kind: providers.String, Help: "ACL user at the Sentinels"},
		{Name: "prefix", Kind: providers.String, Default: "fairlead", Help: "what the names of all keys in Redis start with; one prefix is one world of stores and topics"},
		{Name: "dial-timeout", Kind: providers.Duration, Default: "2s", Min: 10 * ms, Max: h, Help: "longest wait for a connection"},
		{Name: "read-timeout", Kind: providers.Duration, Default: "3s", Min: 10 * ms, Max: h, Help: "longest wait for an answer, where the context allows more"},
		{Name: "write-timeout", Kind: providers.Duration, Default: "3s", Min: 10 * ms, Max: h, Help: "longest wait for the server to take a request, where the context allows more"},
		{Name: "pool-size", Kind: providers.Int, Default: "32", Min: 2, Max: 10_000, Help: "most connections to one server, those of waiting watchers and subscriptions not counted"},
		{Name: "probe-interval", Kind: providers.Duration, Default: "2s", Min: 50 * ms, Max: 60 * s, Help: "how often the server's settings are probed and expired keys are swept"},
		{Name: "assert-durable", Kind: providers.Bool, Default: "false", Help: "the operator asserts appendonly yes, appendfsync always, no-appendfsync-on-rewrite no and no eviction, where CONFIG GET is denied"},
		{Name: "watch-history", Kind: providers.Int, Default: "10000", Min: 1, Max: 100_000_000, Help: "least number of changes that a store keeps for watchers that resume"},
		{Name: "rpc-lease", Kind: providers.Duration, Default: "10s", Min: s, Max: h, Help: "how long the address of a server that was killed stays in the directory"},
	}, slices.Concat(providers.SecretSettings("sentinel-password", "the password of the Sentinels"), providers.TLSSettings("rediss"), pubsubSettings(), providers.PasswordSettings())...)
}

// config is what the URL says, checked.
type config struct {
	mode       string // empty: to be found out
	hosts      []string
	db         int
	user       string
	password   string
	masterName string

	sentinelUser     string
	sentinelPassword string

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
	for _, step := range []func(providers.Settings) error{c.setPlace, c.setMode, c.setCredentials, c.setTLS} {
		if err := step(s); err != nil {
			return config{}, err
		}
	}
	return c, nil
}

func (c *config) setPlace(s providers.Settings) error {
	if len(c.hosts) == 0 {
		return invalid("the URL names no host; as redis://127.0.0.1:6379")
	}
	if c.prefix == "" || strings.ContainsAny(c.prefix, "{}") {
		return invalid("parameter \"prefix\" must not be empty nor hold { or }, which choose the hash slot")
	}
	path := strings.Trim(s.URL.Path, "/")
	if path == "" {
		return nil
	}
	db, err := strconv.ParseUint(path, 10, 16)
	if err != nil {
		return invalid("the path of the URL is the number of the database, as redis://host/1; got %q", path)
	}
	c.db = int(db)
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
		return invalid("mode sentinel needs the parameter \"master-name\", the name of the primary that the Sentinels watch")
	case c.mode != sentinel && (c.masterName != "" || s.Given("sentinel-user") || s.Given("sentinel-password-env") || s.Given("sentinel-password-file")):
		return invalid("the parameters \"master-name\" and \"sentinel-…\" are of use in mode sentinel alone; mode is %s", c.mode)
	case c.mode == standalone && len(c.hosts) > 1:
		return invalid("mode standalone takes one host, the URL names %d; several hosts are the nodes of a cluster, or Sentinels with \"master-name\"", len(c.hosts))
	case c.mode == cluster && c.db != 0:
		return invalid("a cluster has database 0 alone; leave /%d out of the URL", c.db)
	}
	return nil
}

func (c *config) setCredentials(s providers.Settings) (err error) {
	if c.password, err = s.Password(); err != nil {
		return err
	}
	if s.URL.User != nil {
		c.user = s.URL.User.Username()
	}
	if c.user != "" && c.password == "" {
		return invalid("the URL names a user and no password; give it as user:password@, in \"password-env\" or in \"password-file\"")
	}
	c.sentinelPassword, err = s.Secret("sentinel-password")
	return err
}

func (c *config) setTLS(s providers.Settings) (err error) {
	c.tls, err = s.TLS("rediss")
	return err
}

func invalid(format string, args ...any) error {
	return fairlead.Errorf(fairlead.Invalid, format, args...)
}
