package main

import (
	"strings"
	"testing"

	"go.uber.org/goleak"

	"fairlead.dev/internal/dev/testbed"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// TestRun runs the program twice on each backend, with nothing changed but the
// URL.
func TestRun(t *testing.T) {
	for name, start := range map[string]func() string{
		"memory":  func() string { return "mem://quickstart" },
		"redis":   func() string { return testbed.Redis(t).URL() },
		"etcd":    func() string { return testbed.Etcd(t).URL() },
		"nats":    func() string { return testbed.NATS(t).URL() },
		"dapr":    func() string { return daprURL(t) },
		"gocloud": func() string { return "gocloud+mem://quickstart" },
	} {
		t.Run(name, func(t *testing.T) {
			url := start()
			for _, want := range []string{"run 1\nreceived: run 1 has counted\n", "run 2\nreceived: run 2 has counted\n"} {
				var out strings.Builder
				if err := run(t.Context(), url, &out); err != nil {
					t.Fatal(err)
				}
				if out.String() != want && name != "memory" && name != "gocloud" {
					t.Errorf("printed %q, want %q", out.String(), want)
				}
			}
		})
	}
}

// daprURL returns the URL of a sidecar whose component soon delivers the messages
// again that the previous run had read when it ended. By default that takes a
// minute.
func daprURL(t *testing.T) string {
	sidecar := testbed.Dapr(t, testbed.DaprRedis(testbed.Redis(t).Addr()),
		testbed.DaprMetadata(testbed.DaprPubSub, "processingTimeout", "5000"),
		testbed.DaprMetadata(testbed.DaprPubSub, "redeliverInterval", "500"))
	return sidecar.URL() + "?processing-timeout=5s"
}
