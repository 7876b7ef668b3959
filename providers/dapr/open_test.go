package dapr_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	runtimev1 "github.com/dapr/dapr/pkg/proto/runtime/v1"
	"google.golang.org/grpc"

	"fairlead.dev"
	"fairlead.dev/internal/dev/check"
	"fairlead.dev/internal/dev/testbed"
	_ "fairlead.dev/providers/dapr"
)

func open(t *testing.T, url string) fairlead.Provider {
	t.Helper()
	p, err := fairlead.Open(t.Context(), url)
	check.NoError(t, err)
	t.Cleanup(func() { check.NoError(t, p.Close(t.Context())) })
	return p
}

func TestDescribe(t *testing.T) {
	s := testbed.Dapr(t, testbed.DaprInMemory(), testbed.DaprApp("orders"))
	p := open(t, s.URL())
	d, err := p.Describe(t.Context())
	check.NoError(t, err)
	notes := strings.Join(d.Notes, "\n")
	if d.Provider != "dapr" || d.Endpoint != s.Addr() || d.Version == "" ||
		!strings.Contains(notes, "app id orders") || !strings.Contains(notes, "state.in-memory") {
		t.Errorf("%+v", d)
	}
	var conn *grpc.ClientConn
	var client runtimev1.DaprClient
	if !fairlead.As(p, &conn) || !fairlead.As(p, &client) || fairlead.As(p, new(int)) {
		t.Error("As knows other types than its doc says")
	}
	_, err = client.GetMetadata(t.Context(), &runtimev1.GetMetadataRequest{})
	check.NoError(t, err)
}

func TestToken(t *testing.T) {
	s := testbed.Dapr(t, testbed.DaprInMemory(), testbed.DaprToken("s3cret"))
	t.Setenv("FAIRLEAD_TEST_TOKEN", "s3cret")
	open(t, s.URL()+"?password-env=FAIRLEAD_TEST_TOKEN")
	open(t, strings.Replace(s.URL(), "//", "//:s3cret@", 1))
	for _, u := range []string{s.URL(), strings.Replace(s.URL(), "//", "//:wr0ng@", 1)} {
		_, err := fairlead.Open(t.Context(), u)
		check.Code(t, err, fairlead.PermissionDenied)
		if strings.Contains(err.Error(), "wr0ng") {
			t.Errorf("the token is in the error: %v", err)
		}
	}
}

// TestLateSidecar: a sidecar may start after its program.
func TestLateSidecar(t *testing.T) {
	s := testbed.Dapr(t, testbed.DaprInMemory())
	check.NoError(t, s.Kill(t.Context()))
	started := make(chan error, 1)
	go func() { started <- s.Start(t.Context()) }()
	open(t, s.URL()+"?startup-timeout=1m")
	check.NoError(t, <-started)
}

// TestNobodyThere: Open fails in time if there is no sidecar.
func TestNobodyThere(t *testing.T) {
	paused := testbed.Dapr(t, testbed.DaprInMemory())
	check.NoError(t, paused.Pause(t.Context()))
	for name, u := range map[string]string{"refused": "dapr://127.0.0.1:1?startup-timeout=300ms", "silent": paused.URL() + "?startup-timeout=300ms"} {
		t.Run(name, func(t *testing.T) {
			began := time.Now()
			_, err := fairlead.Open(t.Context(), u)
			check.Code(t, err, fairlead.Unavailable)
			if took := time.Since(began); took > 5*time.Second {
				t.Errorf("it took %v", took)
			}
		})
	}
}

func TestBadURLs(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file.pem")
	check.NoError(t, os.WriteFile(file, nil, 0o600))
	for u, want := range map[string]string{
		"dapr://":                            "hosts",
		"dapr://a,b":                         "2 hosts",
		"dapr://127.0.0.1:1/path":            "path",
		"dapr://user@127.0.0.1:1":            "user",
		"dapr://127.0.0.1:1?prefix=":         "prefix",
		"dapr://127.0.0.1:1?ca-file=" + file: "daprs",
		"dapr://127.0.0.1:1?nonsense=1":      "nonsense",
	} {
		_, err := fairlead.Open(t.Context(), u)
		check.Code(t, err, fairlead.Invalid)
		if err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%s: the error does not say %q: %v", u, want, err)
		}
	}
}

func TestChooseComponents(t *testing.T) {
	two := testbed.Dapr(t, testbed.DaprComponent("one", "state.in-memory", nil), testbed.DaprComponent("two", "state.in-memory", nil))
	for query, want := range map[string]string{
		"":                       "one, two",
		"?state=three":           "one, two",
		"?state=-&pubsub=orders": "pubsub",
	} {
		_, err := fairlead.Open(t.Context(), two.URL()+query)
		check.Code(t, err, fairlead.Invalid)
		if err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%s: the error does not say %q: %v", query, want, err)
		}
	}
	for query, want := range map[string]int{"?state=two": 2, "?state=-": 1} {
		d, err := open(t, two.URL()+query).Describe(t.Context())
		check.NoError(t, err)
		if len(d.Notes) != want {
			t.Errorf("%s: %q", query, d.Notes)
		}
	}
}

// What Dapr's API does not show is in the notes; what it shows cannot be asserted
// otherwise.
func TestWhatIsNotVerifiedIsNoted(t *testing.T) {
	redis := testbed.Dapr(t, testbed.DaprRedis(testbed.Redis(t).Addr()))
	memory := testbed.Dapr(t, testbed.DaprInMemory())
	for _, c := range []struct {
		url     string
		durable bool
		notes   []string
		lack    string
	}{
		{redis.URL(), false, []string{"ttlInSeconds", "maxLenApprox"}, "does not report"},
		{redis.URL() + "?assert-durable=true", true, []string{"ttlInSeconds", "asserted by the operator (assert-durable)"}, ""},
		{memory.URL(), false, nil, "all data is lost when the sidecar ends"},
		{memory.URL() + "?assert-durable=true", false, nil, "all data is lost when the sidecar ends"},
	} {
		d, err := open(t, c.url).Describe(t.Context())
		check.NoError(t, err)
		f, _ := d.Facet(fairlead.KV)
		m, lacks := fairlead.DurableFsync.Check(f)
		if lacks == c.durable || !strings.Contains(m.String(), c.lack) {
			t.Errorf("%s: DurableFsync: %s", c.url, m)
		}
		notes := strings.Join(d.Notes, "\n")
		for _, n := range c.notes {
			if !strings.Contains(notes, n) {
				t.Errorf("%s: no note of %q: %q", c.url, n, d.Notes)
			}
		}
		if c.notes == nil && strings.Contains(notes, "verified") {
			t.Errorf("%s: notes %q", c.url, d.Notes)
		}
	}
}
