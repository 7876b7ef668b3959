package plugins_test

import (
	"context"
	"testing"

	"fairlead.dev/conformance"
	"fairlead.dev/internal/testbed"
	"fairlead.dev/plugins"
	"fairlead.dev/providers"
	_ "fairlead.dev/providers/etcd"
	_ "fairlead.dev/providers/memory"
	_ "fairlead.dev/providers/nats"
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

// backend is a real server, or none for memory.
type backend struct {
	plugin string
	start  func(t *testing.T) (url string, control conformance.Control)
}

var backends = []backend{
	{"memory", func(*testing.T) (string, conformance.Control) { return "mem://conformance?dedupe-window=1s", nil }},
	{"redis", func(t *testing.T) (string, conformance.Control) {
		s := testbed.Redis(t)
		return s.URL(), s
	}},
	{"etcd", func(t *testing.T) (string, conformance.Control) {
		s := testbed.Etcd(t)
		return s.URL(), s
	}},
	{"nats", func(t *testing.T) (string, conformance.Control) {
		s := testbed.NATS(t, testbed.NATSSync("always"))
		return s.URL() + "?monitor=" + s.MonitorURL(), s
	}},
}

// TestConformance runs the suite over every transport: the same cases pass as
// over none. The whole of it runs over frames, which is what programs get.
func TestConformance(t *testing.T) {
	for _, b := range backends {
		for _, w := range ways {
			t.Run(b.plugin+"/"+w.name, func(t *testing.T) {
				url, control := b.start(t)
				opts := []conformance.Option{conformance.WithTransport(w.name)}
				if control != nil && w.name == "process" {
					opts = append(opts, conformance.WithControl(control))
				}
				if w.name != "process" {
					opts = append(opts, conformance.WithProfile(conformance.Quick))
				}
				conformance.Test(t, w.open(t, b.plugin, url), opts...)
			})
		}
	}
}
