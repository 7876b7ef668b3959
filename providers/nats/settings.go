package nats

import (
	"crypto/tls"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"

	"fairlead.dev"

	"fairlead.dev/providers"
)

// settings declares the settings.
func settings() []providers.Setting {
	const ms, s, h = int64(time.Millisecond), int64(time.Second), int64(time.Hour)
	return append([]providers.Setting{
		{Name: "prefix", Kind: providers.String, Default: "fairlead", Help: "what the names of all streams and subjects start with; stores, topics and services of different prefixes are separate"},
		{Name: "replicas", Kind: providers.Int, Default: "1", Min: 1, Max: 5, Help: "number of servers that hold each stream; an existing stream with another number is refused"},
		{Name: "nkey-file", Kind: providers.File, Help: "file that holds the seed of an NKey"},
		{Name: "creds-file", Kind: providers.File, Help: "credentials file: a user's JWT and the seed of its NKey"},
		{Name: "tls", Kind: providers.Bool, Default: "false", Help: "demand TLS; ca-file, cert-file, server-name and insecure-skip-verify do so too"},
		{Name: "dial-timeout", Kind: providers.Duration, Default: "2s", Min: 10 * ms, Max: h, Help: "longest wait for a connection to one server"},
		{Name: "request-timeout", Kind: providers.Duration, Default: "5s", Min: 10 * ms, Max: h, Help: "longest wait for an answer, where the context allows more"},
		{Name: "probe-interval", Kind: providers.Duration, Default: "2s", Min: 50 * ms, Max: 60 * s, Help: "how often the servers are probed"},
		{Name: "monitor", Kind: providers.String, Help: "URLs of the servers' monitoring pages, separated by commas, for example http://127.0.0.1:8222: of every server that may hold data; they prove whether sync_interval is always"},
		{Name: "assert-sync-always", Kind: providers.Bool, Default: "false", Help: "the operator asserts that every server has sync_interval always, where no monitoring page can be read"},
		{Name: "watch-history", Kind: providers.Duration, Default: "1h", Min: 60 * s, Max: 8760 * h, Help: "how long a new store remembers what was deleted, for watchers that resume; an existing store keeps its own"},
	}, slices.Concat(providers.SecretSettings("token", "the token"), providers.TLSSettings(""), pubsubSettings(), providers.PasswordSettings())...)
}

// config is what the URL says, checked.
type config struct {
	hosts []string

	user                string
	password, token     providers.Hidden
	nkeyFile, credsFile string
	tls                 *tls.Config

	prefix         string
	replicas       int
	dialTimeout    time.Duration
	requestTimeout time.Duration
	probeInterval  time.Duration
	monitors       []monitorPage
	assertSync     bool
	history        time.Duration
	retention      time.Duration
	window         time.Duration
}

// monitorPage is the monitoring page of one server.
type monitorPage struct {
	url   providers.Hidden // it may have a password
	shown string           // without it
}

func newConfig(s providers.Settings) (config, error) {
	c := config{
		hosts: s.Hosts("4222"), prefix: s.String("prefix"), replicas: s.Int("replicas"),
		nkeyFile: s.String("nkey-file"), credsFile: s.String("creds-file"),
		dialTimeout: s.Duration("dial-timeout"), requestTimeout: s.Duration("request-timeout"),
		probeInterval: s.Duration("probe-interval"), assertSync: s.Bool("assert-sync-always"),
		history:   s.Duration("watch-history").Round(time.Second),
		retention: s.Duration("retention"), window: s.Duration("dedupe-window"),
	}
	for _, step := range []func(providers.Settings) error{c.setPlace, c.setMonitors, c.setCredentials, c.setTLS} {
		if err := step(s); err != nil {
			return config{}, err
		}
	}
	return c, nil
}

var prefixForm = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_-]{0,31}$`)

func (c *config) setPlace(s providers.Settings) error {
	switch {
	case len(c.hosts) == 0:
		return invalid("the URL names no host; for example nats://127.0.0.1:4222")
	case strings.Trim(s.URL.Path, "/") != "":
		return invalid("a NATS URL has no path: leave out what follows the hosts and a slash, or escape a slash in a password as %%2F")
	case !prefixForm.MatchString(c.prefix):
		return invalid("setting \"prefix\" has 1 to 32 of the characters A–Z a–z 0–9 _ - and starts with a letter or digit; got %q", c.prefix)
	case c.replicas%2 == 0:
		return invalid("setting \"replicas\" is 1, 3 or 5: an even number survives no more losses than the odd one below it; got %d", c.replicas)
	}
	return nil
}

func (c *config) setMonitors(s providers.Settings) error {
	list := s.String("monitor")
	if list == "" {
		return nil
	}
	for _, m := range strings.Split(list, ",") {
		u, err := url.Parse(m)
		if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" || u.RawQuery != "" || u.Fragment != "" {
			return invalid("setting \"monitor\" lists URLs such as http://127.0.0.1:8222, separated by commas; one of them cannot be read, or has a query")
		}
		c.monitors = append(c.monitors, monitorPage{url: providers.Hide(strings.TrimSuffix(m, "/")), shown: u.Redacted()})
	}
	return nil
}

func (c *config) setCredentials(s providers.Settings) error {
	password, err := s.Password()
	if err != nil {
		return err
	}
	token, err := s.Secret("token")
	if err != nil {
		return err
	}
	c.password, c.token = providers.Hide(password), providers.Hide(token)
	if s.URL.User != nil {
		c.user = s.URL.User.Username()
	}
	if c.user != "" && c.password == nil { // as in NATS: a name without a password is a token
		if c.token != nil {
			return tooManyCredentials()
		}
		c.user, c.token = "", providers.Hide(c.user)
	}
	ways := 0
	for _, given := range []bool{c.user != "" || c.password != nil, c.token != nil, c.nkeyFile != "", c.credsFile != ""} {
		if given {
			ways++
		}
	}
	switch {
	case ways > 1:
		return tooManyCredentials()
	case c.user == "" && c.password != nil:
		return invalid("a password is given and no user; name the user in the URL, for example nats://user@host")
	}
	return nil
}

func tooManyCredentials() error {
	return invalid("credentials are given in more than one way; give one of: user and password, a token (the URL's user without a password, token-env, token-file), nkey-file, creds-file")
}

func (c *config) setTLS(s providers.Settings) (err error) {
	switch {
	case !s.Bool("tls") && !s.TLSGiven():
		return nil
	case s.Given("tls") && !s.Bool("tls"):
		return invalid("setting \"tls\" is false, and settings that require TLS are given; leave out tls=false, or the others")
	}
	c.tls, err = s.TLSConfig()
	return err
}

func invalid(format string, args ...any) error {
	return fairlead.Errorf(fairlead.Invalid, format, args...)
}
