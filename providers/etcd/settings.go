package etcd

import (
	"crypto/tls"
	"strings"
	"time"

	"fairlead.dev"

	"fairlead.dev/providers"
)

// The schemes of the URLs.
const (
	scheme    = "etcd"
	schemeTLS = "etcds"
)

// settings declares the parameters of the URL.
func settings() []providers.Setting {
	const ms, s, h = int64(time.Millisecond), int64(time.Second), int64(time.Hour)
	own := []providers.Setting{
		{Name: "prefix", Kind: providers.String, Default: "fairlead", Help: "what all keys in etcd start with, before a slash; stores and topics of different prefixes are separate"},
		{Name: "dial-timeout", Kind: providers.Duration, Default: "2s", Min: 10 * ms, Max: h, Help: "longest wait for a connection and for a login"},
		{Name: "request-timeout", Kind: providers.Duration, Default: "5s", Min: 10 * ms, Max: h, Help: "longest wait for an answer, where the context allows more"},
		{Name: "probe-interval", Kind: providers.Duration, Default: "3s", Min: 50 * ms, Max: 60 * s, Help: "how often the members of the cluster are looked at"},
		{Name: "clock-skew", Kind: providers.Duration, Default: "500ms", Min: 0, Max: h, Help: "how far the clocks of the programs that share a store may differ"},
		{Name: "rpc-lease", Kind: providers.Duration, Default: "10s", Min: 2 * s, Max: h, Help: "how long the address of a server that was killed stays in the directory"},
		{Name: "assert-durable", Kind: providers.Bool, Default: "false", Help: "the operator asserts that no member runs with --unsafe-no-fsync; for members whose /metrics cannot be read"},
	}
	return append(append(own, providers.TLSSettings(schemeTLS)...), providers.PasswordSettings()...)
}

// config is what the URL says, checked.
type config struct {
	hosts          []string
	user           string
	password       providers.Hidden
	tls            *tls.Config
	prefix         string
	dialTimeout    time.Duration
	requestTimeout time.Duration
	probeInterval  time.Duration
	clockSkew      time.Duration
	rpcLease       time.Duration
	assertDurable  bool
}

func newConfig(s providers.Settings) (c config, err error) {
	c = config{
		hosts: s.Hosts("2379"), prefix: s.String("prefix"),
		dialTimeout: s.Duration("dial-timeout"), requestTimeout: s.Duration("request-timeout"),
		probeInterval: s.Duration("probe-interval"), clockSkew: s.Duration("clock-skew"),
		rpcLease:      s.Duration("rpc-lease"),
		assertDurable: s.Bool("assert-durable"),
	}
	switch {
	case len(c.hosts) == 0:
		return config{}, invalid("the URL names no host; for example etcd://127.0.0.1:2379")
	case strings.Trim(s.URL.Path, "/") != "":
		return config{}, invalid("the URL has a path, and etcd has none; use the setting \"prefix\" for a name space")
	case c.prefix == "":
		return config{}, invalid("setting \"prefix\" must not be empty")
	}
	password, err := s.Password()
	if err != nil {
		return config{}, err
	}
	c.password = providers.Hide(password)
	if s.URL.User != nil {
		c.user = s.URL.User.Username()
	}
	if (c.user == "") != (c.password == nil) {
		return config{}, invalid("a user and a password belong together; give user:password@ in the URL, or user@ and \"password-env\" or \"password-file\"")
	}
	c.tls, err = s.TLS(schemeTLS)
	return c, err
}

// urls returns the endpoints in the form of etcd's client and of HTTP.
func (c config) urls() []string {
	urls := make([]string, len(c.hosts))
	for i, h := range c.hosts {
		urls[i] = "http://" + h
		if c.tls != nil {
			urls[i] = "https://" + h
		}
	}
	return urls
}

func invalid(format string, args ...any) error {
	return fairlead.Errorf(fairlead.Invalid, format, args...)
}
