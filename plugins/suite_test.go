package plugins_test

import (
	"context"
	"testing"

	"fairlead.dev/conformance"
	"fairlead.dev/internal/testbed"
	"fairlead.dev/plugins"
	"fairlead.dev/providers"
	_ "fairlead.dev/providers/dapr"
	_ "fairlead.dev/providers/etcd"
	_ "fairlead.dev/providers/gocloud"
	_ "fairlead.dev/providers/memory"
	_ "fairlead.dev/providers/nats"
	_ "fairlead.dev/providers/redis"
)

// way opens a URL through a transport.
type way struct {
	name   string
	stream bool
	open   func(t *testing.T, plugin, url string) conformance.Opener
}

// ways are all but the direct one, over which the providers' own tests run the
// suite.
var ways = []way{
	{"loopback-stream", true, loopback(plugins.Stream)},
	{"loopback", false, loopback(plugins.Frames)},
	{"process-stream", true, inProcess(plugins.Stream)},
	{"process", false, inProcess(plugins.Frames)},
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
	// streams says whether to run over gRPC streams as well. They carry the
	// messages that frames do: what goes wrong on them alone is not the
	// backend's, and two of them show it.
	streams bool
	start   func(t *testing.T) (url string, control conformance.Control)
}

var backends = []backend{
	{"memory", true, func(*testing.T) (string, conformance.Control) { return "mem://conformance?dedupe-window=1s", nil }},
	{"redis", true, func(t *testing.T) (string, conformance.Control) {
		s := testbed.Redis(t)
		return s.URL(), s
	}},
	{"etcd", false, func(t *testing.T) (string, conformance.Control) {
		s := testbed.Etcd(t)
		return s.URL(), s
	}},
	{"nats", false, func(t *testing.T) (string, conformance.Control) {
		s := testbed.NATS(t, testbed.NATSSync("always"))
		return s.URL() + "?monitor=" + s.MonitorURL(), s
	}},
	{"dapr", false, func(t *testing.T) (string, conformance.Control) {
		s := testbed.Dapr(t, testbed.DaprRedis(testbed.Redis(t).Addr())) // the one that has a config facet of its own
		return s.URL() + "?pubsub=-", s
	}},
}

// TestConformance runs the suite over the transports: the same cases pass as
// over none. The whole of it runs over frames, which is what programs get.
func TestConformance(t *testing.T) {
	for _, b := range backends {
		for _, w := range ways {
			if w.stream && !b.streams {
				continue
			}
			t.Run(b.plugin+"/"+w.name, func(t *testing.T) {
				t.Parallel() // the cases mostly wait
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

// TestConformanceGocloud has no process: the plugin is in a module of its own,
// which tests it.
func TestConformanceGocloud(t *testing.T) {
	open := loopback(plugins.Frames)(t, "", "gocloud+mem://plugins")
	conformance.Test(t, open, conformance.WithProfile(conformance.Quick), conformance.WithTransport("loopback"))
}
