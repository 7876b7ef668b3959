package plugins_test

import (
	"context"
	"slices"
	"sync"
	"testing"

	"fairlead.dev"
	"fairlead.dev/conformance"
	"fairlead.dev/internal/dev/testbed"
	"fairlead.dev/plugins"
	_ "fairlead.dev/providers/dapr"
	_ "fairlead.dev/providers/etcd"
	_ "fairlead.dev/providers/gocloud"
	_ "fairlead.dev/providers/memory"
	_ "fairlead.dev/providers/nats"
	_ "fairlead.dev/providers/redis"
)

// way opens a URL through a transport.
type way struct {
	name string
	open func(t *testing.T, plugin, url string) conformance.Opener
}

var ways = []way{
	{"direct", direct},
	{"loopback-stream", loopback(plugins.Stream)},
	{"loopback", loopback(plugins.Frames)},
	{"process-stream", inProcess(plugins.Stream)},
	{"process", inProcess(plugins.Frames)},
}

func direct(_ *testing.T, _, url string) conformance.Opener {
	return func(ctx context.Context) (fairlead.Provider, error) { return fairlead.Open(ctx, url) }
}

func loopback(over plugins.Transport) func(*testing.T, string, string) conformance.Opener {
	return func(_ *testing.T, _, url string) conformance.Opener {
		return func(ctx context.Context) (fairlead.Provider, error) {
			p, err := fairlead.Open(ctx, url)
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
		return func(ctx context.Context) (fairlead.Provider, error) { return h.Open(ctx, "plugin+"+url) }
	}
}

// backend is a real server, or the memory provider, which has none.
type backend struct {
	plugin string
	// whole has the ways over which the whole suite runs and passes the same
	// cases. quick has the ways with the quick profile, which leaves out large and
	// slow cases. Each backend is reached over the plugin process, as in programs.
	// The other ways carry the same messages: a failure on only one of them is not
	// the backend's fault.
	whole, quick []string
	start        func(t *testing.T) (url string, control conformance.Control)
}

var backends = []backend{
	{"memory", []string{"direct", "loopback", "process"}, []string{"loopback-stream", "process-stream"},
		func(*testing.T) (string, conformance.Control) { return "mem://conformance?dedupe-window=1s", nil }},
	{"redis", []string{"direct", "loopback", "process"}, nil,
		func(t *testing.T) (string, conformance.Control) {
			s := testbed.Redis(t)
			// A busy machine takes longer for large values than by default.
			return s.URL() + "?read-timeout=30s&write-timeout=30s", s
		}},
	{"etcd", nil, []string{"process"}, func(t *testing.T) (string, conformance.Control) {
		s := testbed.Etcd(t)
		return s.URL(), s
	}},
	{"nats", nil, []string{"process"}, func(t *testing.T) (string, conformance.Control) {
		s := testbed.NATS(t, testbed.NATSSync("always"))
		return s.URL() + "?monitor=" + s.MonitorURL(), s
	}},
	{"dapr", nil, []string{"process"}, func(t *testing.T) (string, conformance.Control) {
		s := testbed.Dapr(t, testbed.DaprRedis(testbed.Redis(t).Addr())) // only Redis gives Dapr a config facet of its own
		return s.URL() + "?pubsub=-", s
	}},
}

// TestConformance runs the suite over the transports.
func TestConformance(t *testing.T) {
	for _, b := range backends {
		same := &passed{cases: map[string][]string{}}
		t.Cleanup(func() { same.check(t, b.plugin) })
		for _, w := range ways {
			whole := slices.Contains(b.whole, w.name)
			if !whole && !slices.Contains(b.quick, w.name) {
				continue
			}
			t.Run(b.plugin+"/"+w.name, func(t *testing.T) {
				t.Parallel() // most cases spend their time waiting
				report := b.suite(t, w, whole)
				if whole && !report.Filtered() {
					same.add(w.name, report)
				}
			})
		}
	}
}

// passed holds the cases without kills that passed in whole runs, by transport.
type passed struct {
	mu    sync.Mutex
	cases map[string][]string
}

func (p *passed) add(over string, r *conformance.Report) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, res := range r.Results {
		if res.Outcome == conformance.Passed && !res.Control {
			p.cases[over] = append(p.cases[over], res.Case)
		}
	}
}

// check compares them with the cases that passed over a plugin process.
func (p *passed) check(t *testing.T, plugin string) {
	want := p.cases["process"]
	if want == nil {
		return // -run left out the run in a process, or cases of it
	}
	for over, cases := range p.cases {
		for _, name := range slices.Concat(cases, want) {
			if !slices.Contains(cases, name) || !slices.Contains(want, name) {
				t.Errorf("%s: the case %s passes %s or in a process, but not both", plugin, name, over)
			}
		}
	}
}

// suite runs the whole suite or the quick profile over a way. Killing the backend
// takes minutes, so only the runs over processes do it.
func (b backend) suite(t *testing.T, w way, whole bool) *conformance.Report {
	url, control := b.start(t)
	opts := []conformance.Option{conformance.WithTransport(w.name)}
	if !whole {
		opts = append(opts, conformance.WithProfile(conformance.Quick))
	}
	if control != nil && w.name == "process" {
		opts = append(opts, conformance.WithControl(control))
	}
	return conformance.Test(t, w.open(t, b.plugin, url), opts...)
}

// TestConformanceGocloud has no process: the plugin is in a module of its own,
// which runs the suite over it.
func TestConformanceGocloud(t *testing.T) {
	open := loopback(plugins.Frames)(t, "", "gocloud+mem://plugins")
	conformance.Test(t, open, conformance.WithProfile(conformance.Quick), conformance.WithTransport("loopback"))
}
