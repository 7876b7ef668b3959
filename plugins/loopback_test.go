package plugins_test

import (
	"context"
	"testing"

	"fairlead.dev/conformance"
	"fairlead.dev/plugins"
	"fairlead.dev/providers"
	_ "fairlead.dev/providers/memory"
)

// loopback opens a URL behind a loopback.
func loopback(url string, over plugins.Transport) conformance.Opener {
	return func(ctx context.Context) (providers.Provider, error) {
		p, err := providers.Open(ctx, url)
		if err != nil {
			return nil, err
		}
		return plugins.Loopback(ctx, p, over)
	}
}

func TestLoopbackConforms(t *testing.T) {
	for _, over := range []plugins.Transport{plugins.Stream, plugins.Frames} {
		t.Run(string(over), func(t *testing.T) {
			conformance.Test(t, loopback("mem://loopback-"+string(over)+"?dedupe-window=1s", over),
				conformance.WithTransport("loopback "+string(over)))
		})
	}
}
