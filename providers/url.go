package providers

import (
	"net/url"
	"strings"

	"fairlead.dev"
)

const urlForm = "scheme://[user:password@]host[:port][,host[:port]…][/path][?parameter=value]"

// parseURL is url.Parse with a list of hosts, and with errors that never
// repeat what may be a credential.
func parseURL(rawURL string) (*url.URL, error) {
	single, hosts := splitHosts(rawURL)
	u, err := url.Parse(single)
	if err != nil {
		return nil, fairlead.Errorf(fairlead.Invalid, "the URL cannot be read; its form is %s, with reserved characters in names and passwords escaped as %%XX", urlForm)
	}
	if u.Scheme == "" || u.Opaque != "" {
		return nil, fairlead.Errorf(fairlead.Invalid, "the URL has no scheme followed by \"://\"; its form is %s", urlForm)
	}
	for _, h := range hosts {
		if _, err := url.Parse("x://" + h); err != nil || h == "" {
			return nil, fairlead.Errorf(fairlead.Invalid, "the URL names the host %q, which cannot be read; a host is name:port, 1.2.3.4:port or [::1]:port", h)
		}
	}
	if len(hosts) > 1 {
		u.Host = strings.Join(hosts, ",")
	}
	return u, nil
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
