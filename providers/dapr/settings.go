package dapr

import (
	"crypto/tls"
	"strings"
	"time"

	"fairlead.dev"

	"fairlead.dev/providers"
)

// The schemes of the URLs.
const (
	scheme    = "dapr"
	schemeTLS = "daprs"
)

// defaultPort is the port on which a sidecar serves gRPC.
const defaultPort = "50001"

// maxPrefix is the length of the longest prefix of the keys, in bytes.
const maxPrefix = 512

// settings declares the settings of the URL.
func settings() []providers.Setting {
	const ms, s, h = int64(time.Millisecond), int64(time.Second), int64(time.Hour)
	own := []providers.Setting{
		{Name: "state", Kind: providers.String, Help: "name of the state component; not needed if there is only one; - for none"},
		{Name: "pubsub", Kind: providers.String, Help: "name of the pubsub component; not needed if there is only one; - for none"},
		{Name: "config", Kind: providers.String, Help: "name of the configuration component; not needed if there is only one; - for none"},
		{Name: "prefix", Kind: providers.String, Default: "fairlead", Help: "first part of all keys in the state component; programs with different prefixes do not see each other's stores"},
		{Name: "max-body-bytes", Kind: providers.Int, Default: "4194304", Min: 1 << 21, Max: 1 << 30, Help: "value of the sidecar's --max-body-size"},
		{Name: "startup-timeout", Kind: providers.Duration, Default: "5s", Min: 10 * ms, Max: h, Help: "longest wait for a sidecar that has not started yet"},
		{Name: "request-timeout", Kind: providers.Duration, Default: "10s", Min: 10 * ms, Max: h, Help: "longest wait for a response, if the context allows more"},
		{Name: "assert-durable", Kind: providers.Bool, Default: "false", Help: "the operator asserts that the state component's backend confirms a write only when it is on stable storage; Dapr does not report this"},
		{Name: "config-poll", Kind: providers.Duration, Default: "2s", Min: 50 * ms, Max: 60 * s, Help: "how often a call that waits for a change reads the settings; the component may not report every change"},
		{Name: "clock-skew", Kind: providers.Duration, Default: "500ms", Min: 0, Max: s, Help: "how far the clocks of the programs that share a store may differ"},
		{Name: "probe-interval", Kind: providers.Duration, Default: "3s", Min: 50 * ms, Max: 60 * s, Help: "how often the sidecar is probed"},
	}
	own = append(append(own, pubsubSettings()...), rpcSettings()...)
	return append(append(own, providers.TLSSettings(schemeTLS)...), providers.PasswordSettings()...)
}

// config holds the checked values of the URL.
type config struct {
	host  string
	tls   *tls.Config
	token providers.Hidden

	components map[fairlead.Facet]string // from the URL; "-" for none, "" for the only one

	prefix         string
	maxBody        int
	startupTimeout time.Duration
	requestTimeout time.Duration
	assertDurable  bool
	clockSkew      time.Duration
	configPoll     time.Duration
	probeInterval  time.Duration

	pubsubConfig
	rpcConfig
}

func newConfig(s providers.Settings) (c config, err error) {
	c = config{
		components: map[fairlead.Facet]string{
			fairlead.KV: s.String("state"), fairlead.PubSub: s.String("pubsub"), fairlead.Config: s.String("config"),
		},
		prefix: s.String("prefix"), maxBody: s.Int("max-body-bytes"),
		startupTimeout: s.Duration("startup-timeout"), requestTimeout: s.Duration("request-timeout"), probeInterval: s.Duration("probe-interval"),
		assertDurable: s.Bool("assert-durable"), clockSkew: s.Duration("clock-skew"), configPoll: s.Duration("config-poll"), pubsubConfig: newPubsubConfig(s), rpcConfig: newRPCConfig(s),
	}
	hosts := s.Hosts(defaultPort)
	switch {
	case len(hosts) != 1:
		return config{}, invalid("the URL names %d hosts, but a program has one sidecar; use for example dapr://127.0.0.1:50001", len(hosts))
	case strings.Trim(s.URL.Path, "/") != "":
		return config{}, invalid("the URL has a path, which Dapr does not know; for a name space use the setting \"prefix\"")
	case s.URL.User.Username() != "":
		return config{}, invalid("the URL names a user, which Dapr does not know; give the API token as :TOKEN@, or with the setting \"password-env\" or \"password-file\"")
	case c.prefix == "":
		return config{}, invalid("setting \"prefix\" must not be empty")
	case len(c.prefix) > maxPrefix:
		return config{}, invalid("setting \"prefix\" has %d bytes; it may have %d", len(c.prefix), maxPrefix)
	}
	c.host = hosts[0]
	token, err := s.Password()
	if err != nil {
		return config{}, err
	}
	c.token = providers.Hide(token)
	c.tls, err = s.TLS(schemeTLS)
	return c, err
}

func invalid(format string, args ...any) error {
	return fairlead.Errorf(fairlead.Invalid, format, args...)
}
