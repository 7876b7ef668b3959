package providers

import (
	"net/url"
	"strings"

	"fairlead.dev"
)

const urlForm = "scheme://[user:password@]host[:port][,host[:port]…][/path][?setting=value]"

// parseURL is url.Parse with a list of hosts. It refuses what net/url reads in
// another way than a person who did not escape a password, or ignores. An error
// never repeats a part of the URL, since it may be one of a password.
func parseURL(rawURL string) (*url.URL, error) {
	if err := checkEscaped(rawURL); err != nil {
		return nil, err
	}
	single, hosts := splitHosts(rawURL)
	u, err := url.Parse(single)
	if err != nil {
		return nil, fairlead.Errorf(fairlead.Invalid, "the URL cannot be read; its form is %s, with reserved characters in names and passwords escaped as %%XX", urlForm)
	}
	if u.Scheme == "" || u.Opaque != "" || !strings.Contains(rawURL, "://") {
		return nil, fairlead.Errorf(fairlead.Invalid, "the URL has no scheme followed by \"://\"; its form is %s", urlForm)
	}
	for i, h := range hosts {
		if _, err := url.Parse("x://" + h); err != nil || h == "" {
			return nil, fairlead.Errorf(fairlead.Invalid, "host %d of the URL's %d cannot be read; a host is name:port, 1.2.3.4:port or [::1]:port", i+1, len(hosts))
		}
	}
	if len(hosts) > 1 {
		u.Host = strings.Join(hosts, ",")
	}
	return u, nil
}

// checkEscaped refuses a URL whose user or password seems to have a reserved
// character that is not escaped: it would be taken for the beginning of the path,
// of the settings or of a fragment, and errors would show the rest of the password.
func checkEscaped(rawURL string) error {
	if strings.Contains(rawURL, "#") {
		return fairlead.Errorf(fairlead.Invalid, "the URL has a \"#\", which would hide the rest of it; escape it as %%23")
	}
	_, rest, _ := strings.Cut(rawURL, "://")
	if end := strings.IndexAny(rest, "/?"); end > 0 && strings.Contains(rest[end:], "@") {
		return fairlead.Errorf(fairlead.Invalid, "the URL has an \"@\" after its first \"/\" or \"?\"; in a user and a password, escape \"/\" as %%2F and \"?\" as %%3F, and in a path and a setting, escape \"@\" as %%40")
	}
	return nil
}

// splitHosts returns rawURL with only the first of its hosts, and the hosts.
// net/url accepts only one host.
func splitHosts(rawURL string) (single string, hosts []string) {
	start := strings.Index(rawURL, "://")
	if start < 0 {
		return rawURL, nil
	}
	start += len("://")
	end := len(rawURL)
	if i := strings.IndexAny(rawURL[start:], "/?#"); i >= 0 {
		end = start + i
	}
	if i := strings.LastIndexByte(rawURL[start:end], '@'); i >= 0 {
		start += i + 1
	}
	hosts = strings.Split(rawURL[start:end], ",")
	if len(hosts) == 1 {
		return rawURL, nil
	}
	return rawURL[:start] + hosts[0] + rawURL[end:], hosts
}

// Hosts returns the hosts that the URL names, each with a port: defaultPort
// where it names none. It is empty if the URL names no host.
func (s Settings) Hosts(defaultPort string) []string {
	if s.URL.Host == "" {
		return nil
	}
	hosts := strings.Split(s.URL.Host, ",")
	for i, h := range hosts {
		if u := (&url.URL{Host: h}); u.Port() == "" {
			hosts[i] = strings.TrimSuffix(h, ":") + ":" + defaultPort
		}
	}
	return hosts
}
