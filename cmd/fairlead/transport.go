package main

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"fairlead.dev"
	"fairlead.dev/conformance"
	"fairlead.dev/plugins"
	"fairlead.dev/providers"
)

// The values of --transport, and the names of transports in reports.
const (
	direct         = "direct"
	loopback       = "loopback"
	loopbackStream = "loopback-stream"
	process        = "process" // the URL names a plugin
	sidecar        = "sidecar" // the URL names a sidecar
)

// openTransport returns the function that opens the provider, and the name of the
// transport for the report. If wanted is empty, the URL decides.
func openTransport(url, wanted string) (conformance.Opener, string, error) {
	open := opener(url)
	name := transportOfURL(url)
	if wanted == "" || wanted == name {
		return open, name, nil
	}
	if !slices.Contains([]string{direct, loopback, loopbackStream}, wanted) {
		return nil, "", fmt.Errorf("--transport is %q; accepted: direct, loopback, loopback-stream", wanted)
	}
	if name != direct {
		return nil, "", fmt.Errorf("--transport is %q, but the URL names a %s; leave the flag out, or give the URL of a provider that is linked in", wanted, name)
	}
	over := plugins.Frames
	if wanted == loopbackStream {
		over = plugins.Stream
	}
	return func(ctx context.Context) (fairlead.Provider, error) {
		p, err := open(ctx)
		if err != nil {
			return nil, err
		}
		return plugins.Loopback(ctx, p, over)
	}, wanted, nil
}

// transportOfURL returns the transport that a URL names.
func transportOfURL(url string) string {
	switch s, linked := providers.LinkedScheme(url); {
	case !linked:
		return process
	case strings.HasPrefix(s.Name, "sidecar+"):
		return sidecar
	default:
		return direct
	}
}
