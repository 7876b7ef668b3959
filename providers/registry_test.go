package providers

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"fairlead.dev"
)

var opened Settings

func init() {
	Register(Scheme{
		Name: "test",
		Settings: append(PasswordSettings(),
			Setting{Name: "flag", Kind: Bool, Default: "false"},
			Setting{Name: "size", Kind: Int, Default: "5", Min: 1, Max: 10},
			Setting{Name: "wait", Kind: Duration, Default: "2s", Min: int64(time.Millisecond)},
			Setting{Name: "mode", Kind: Enum, Default: "a", Values: []string{"a", "b"}},
			Setting{Name: "ca-file", Kind: File},
		),
		Open: func(_ context.Context, s Settings) (fairlead.Provider, error) {
			opened = s
			if s.URL.Host == "nothing" {
				return nil, nil
			}
			return testProvider{NewLive(fairlead.Description{Provider: "test"})}, nil
		},
	})
}

type testProvider struct{ *Live }

func (p testProvider) Close(context.Context) error { p.Shut(); return nil }

// TestOpenWithoutProvider shows that a scheme that returns neither a provider
// nor an error fails, instead of a nil provider that panics later.
func TestOpenWithoutProvider(t *testing.T) {
	p, err := fairlead.Open(t.Context(), "test://nothing")
	if p != nil || fairlead.CodeOf(err) != fairlead.Internal || !strings.Contains(err.Error(), "returned no provider") {
		t.Errorf("got %v, %v", p, err)
	}
}

func TestOpenRejects(t *testing.T) {
	for _, c := range []struct{ url, says string }{
		{"", "no scheme"},
		{"test", "no scheme"},
		{"test:h", `no scheme followed by "://"`},
		{"other://h", `unknown URL scheme "other"; linked in: acme, test; import the package of its provider; if a plugin offers it, import _ "fairlead.dev/plugins/auto", and install`},
		{"rediss://h", `linked in: acme, test; to link its provider, import _ "fairlead.dev/providers/redis"`},
		{"plugin+redis://h", `to find plugins, import _ "fairlead.dev/plugins/auto"`},
		{"test://h?sise=5", `unknown setting "sise"; accepted: ca-file, flag, mode, password-env, password-file, size, wait`},
		{"test://h?size=x", `setting "size" has the value "x", which is not a whole number in range`},
		{"test://h?size=0", "the least is 1"},
		{"test://h?size=11", "the greatest is 10"},
		{"test://h?size=1&size=2", `setting "size" is given 2 times`},
		{"test://h?wait=1", "a duration in range, as 1500ms"},
		{"test://h?wait=0s", "the least is 1ms"},
		{"test://h?flag=ja", "true or false"},
		{"test://h?mode=c", "accepted: a, b"},
		{"test://h?ca-file=/no/such", "no such file"},
		{"test://h?size=%zz", "the settings in the URL cannot be read"},
		{"test://user:se:cr@et@h:x", "the URL cannot be read"},
		{"test://:se%cret@h", "the URL cannot be read"},
		{"test://a,,b", "host 2 of the URL's 3"},
		{"test://a,b:x", "host 2 of the URL's 2"},
	} {
		_, err := fairlead.Open(t.Context(), c.url)
		if !errors.Is(err, fairlead.Invalid) || !strings.Contains(err.Error(), c.says) {
			t.Errorf("Open(%q): %v; want Invalid and %q", c.url, err, c.says)
		}
		for _, secret := range []string{"se:cr", "et@h", "se%cret"} {
			if err != nil && strings.Contains(err.Error(), secret) {
				t.Errorf("Open(%q): the error shows a credential: %v", c.url, err)
			}
		}
	}
	if _, err := fairlead.Open(t.Context(), "test://h", fairlead.WithLogger(nil)); !errors.Is(err, fairlead.Invalid) {
		t.Errorf("WithLogger(nil): %v", err)
	}
}

func TestOpenPassesSettings(t *testing.T) {
	logger := slog.New(slog.DiscardHandler)
	if _, err := fairlead.Open(t.Context(), "test://u:p@h1:1,h2,[::1]/7?flag=true&wait=1500ms", fairlead.WithLogger(logger)); err != nil {
		t.Fatal(err)
	}
	s := opened
	if !s.Bool("flag") || s.Int("size") != 5 || s.Duration("wait") != 1500*time.Millisecond || s.String("mode") != "a" {
		t.Errorf("settings %+v", s)
	}
	if got := strings.Join(s.Hosts("9"), " "); got != "h1:1 h2:9 [::1]:9" {
		t.Errorf("hosts %q", got)
	}
	if s.URL.Path != "/7" || s.URL.RawQuery != "" || s.Logger != logger || !s.Given("flag") || s.Given("size") {
		t.Errorf("URL %q", s.URL.Redacted())
	}
}

func TestPassword(t *testing.T) {
	file := filepath.Join(t.TempDir(), "pw")
	if err := os.WriteFile(file, []byte("from file\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	empty := filepath.Join(t.TempDir(), "empty")
	if err := os.WriteFile(empty, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("FAIRLEAD_TEST_PW", "from env")
	for _, c := range []struct{ url, want, says string }{
		{"test://h", "", ""},
		{"test://u:from%20url@h", "from url", ""},
		{"test://h?password-env=FAIRLEAD_TEST_PW", "from env", ""},
		{"test://h?password-file=" + file, "from file", ""},
		{"test://u:x@h?password-file=" + file, "", "more than one way"},
		{"test://h?password-env=FAIRLEAD_NOT_SET", "", "is not set, or empty"},
		{"test://h?password-file=" + empty, "", "that is empty"},
	} {
		if _, err := fairlead.Open(t.Context(), c.url); err != nil {
			t.Fatal(err)
		}
		got, err := opened.Password()
		if got != c.want || (err != nil) != (c.says != "") || (err != nil && !strings.Contains(err.Error(), c.says)) {
			t.Errorf("%s: %q, %v; want %q %q", c.url, got, err, c.want, c.says)
		}
	}
}

func FuzzParseURL(f *testing.F) {
	for _, s := range []string{"mem://", "redis://u:p@h1:1,h2:2/0?x=y", "a://[::1]:5,b", "://", "x://@,"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		u, err := parseURL(s)
		if err != nil {
			if !errors.Is(err, fairlead.Invalid) {
				t.Errorf("%q: %v", s, err)
			}
			return
		}
		settings := Settings{URL: u}
		for _, h := range settings.Hosts("1") {
			if !strings.Contains(h, ":") {
				t.Errorf("%q: host %q without a port", s, h)
			}
		}
	})
}
