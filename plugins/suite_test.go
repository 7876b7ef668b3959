package plugins_test

import (
	"context"
	"testing"

	"fairlead.dev/conformance"
	"fairlead.dev/internal/testbed"
	"fairlead.dev/plugins"
	"fairlead.dev/providers"
	_ "fairlead.dev/providers/memory"
	_ "fairlead.dev/providers/redis"
)

// way opens a URL through a transport.
type way struct {
	name string
	open func(t *testing.T, plugin, url string) conformance.Opener
}

// ways are all but the direct one, over which the providers' own tests run the
// suite.
var ways = []way{
	{"loopback-stream", loopback(plugins.Stream)},
	{"loopback", loopback(plugins.Frames)},
	{"process-stream", inProcess(plugins.Stream)},
	{"process", inProcess(plugins.Frames)},
}

func loopback(over plugins.Transport) func(*testing.T, string, string) conformance.Opener {
	return func(_ *testing.T, _, url string) conformance.Opener {
		return func(ctx context.Context) (providers.Provider, error) {
			p, err := providers.Open(ctx, url)
			if err != nil {
				return nil, err
			}
			return plugins.Loopback(ctx, p, over)
		}
	}
}

func inProcess(over plugins.Transport) func(*testing.T, string, string) conformance.Opener {
	return func(t *testing.T, plugin, url string) conformance.Opener {
		h := newHost(t, plugins.WithFolders(installed(t, plugin)), plugins.WithTransport(over))
		return func(ctx context.Context) (providers.Provider, error) { return h.Open(ctx, "plugin+"+url) }
	}
}

// TestConformance runs the suite over every transport: the same cases pass as
// over none.
func TestConformance(t *testing.T) {
	for _, w := range ways {
		t.Run("memory/"+w.name, func(t *testing.T) {
			conformance.Test(t, w.open(t, "memory", "mem://conformance?dedupe-window=1s"), conformance.WithTransport(w.name))
		})
		t.Run("memory-directory/"+w.name, func(t *testing.T) {
			conformance.Test(t, w.open(t, "memory", "mem://directory?rpc=directory"), conformance.WithTransport(w.name), conformance.WithFacets(providers.RPC))
		})
		t.Run("redis/"+w.name, func(t *testing.T) {
			server := testbed.Redis(t)
			conformance.Test(t, w.open(t, "redis", server.URL()), conformance.WithTransport(w.name), conformance.WithControl(server))
		})
	}
}
