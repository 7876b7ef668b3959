package providers

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"fairlead.dev"
)

// diagnoseTest diagnoses a URL, and returns a line for each finding.
func diagnoseTest(t *testing.T, ctx context.Context, rawURL string, opts ...fairlead.Option) (lines []string) {
	t.Helper()
	err := Diagnose(ctx, rawURL, Trial{Name: "trial", Facets: fairlead.Facets()}, func(f Finding) {
		lines = append(lines, fmt.Sprintf("%s: %s: %s %s | %s", f.Check, f.Status, f.Subject, f.Seen, f.Fix))
	}, opts...)
	if err != nil {
		t.Fatal(err)
	}
	return lines
}

// wantLines demands that a line begins with each of the texts, in this order.
func wantLines(t *testing.T, lines []string, want ...string) {
	t.Helper()
	rest := lines
	for _, text := range want {
		i := slices.IndexFunc(rest, func(line string) bool { return strings.HasPrefix(line, text) })
		if i < 0 {
			t.Fatalf("no line %q, in this order, in\n%s", text, strings.Join(lines, "\n"))
		}
		rest = rest[i+1:]
	}
}

// diagnosed is a scheme whose second check can fail, and which records what was closed.
type diagnosed struct {
	login  CheckStatus
	closed int
	hosts  []string
	speaks Speech
}

func (d *diagnosed) scheme() Scheme {
	return Scheme{
		Name: "diagnosed", Settings: PasswordSettings(),
		Open: func(context.Context, Settings) (fairlead.Provider, error) {
			return nil, fairlead.Errorf(fairlead.Unavailable, "no backend")
		},
		Inspect: func(s Settings, _ Trial) (Inspection, error) {
			_, err := s.Password()
			return Inspection{
				Hosts: d.hosts, DemandTLS: "use TLS", Speaks: func(context.Context, net.Conn) Speech { return d.speaks },
				Checks: []Check{
					{Name: CheckLogin, Essential: true, Run: func(context.Context) []Finding { return []Finding{{Status: d.login, Seen: "seen"}} }},
					{Name: CheckPermissions, Run: func(context.Context) []Finding { return []Finding{{Status: CheckProblem, Seen: "lacks a right"}} }},
					{Name: CheckClock},
				},
				Limits: []Check{{Name: CheckQuotas, Run: func(context.Context) []Finding { return []Finding{{Status: CheckOK, Seen: "room"}} }}},
				Close:  func() { d.closed++ },
			}, err
		},
	}
}

// register makes the scheme known until the end of the test.
func (d *diagnosed) register(t *testing.T) {
	Register(d.scheme())
	t.Cleanup(func() {
		registry.Lock()
		defer registry.Unlock()
		delete(registry.schemes, "diagnosed")
	})
}

func listen(t *testing.T, serve func(net.Conn)) (addr string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer func() { _ = c.Close() }()
				serve(c)
			}()
		}
	}()
	return l.Addr().String()
}

func TestDiagnosisGoesOnWhereItCan(t *testing.T) {
	d := &diagnosed{login: CheckOK, speaks: SpeaksPlain}
	closed := listen(t, func(net.Conn) {})
	d.hosts = []string{listen(t, func(c net.Conn) { _, _ = io.Copy(io.Discard, c) }), "127.0.0.1:0", "[::1]:0"}
	d.register(t)
	lines := diagnoseTest(t, t.Context(), "diagnosed://h")
	wantLines(t, lines, "URL: ok", "name: ok", "dial: ok: "+d.hosts[0], "dial: problem: 127.0.0.1:0", "TLS: ok: "+d.hosts[0], "login: ok", "permissions: problem",
		"clock: not told", "open: problem:  no backend", "durability: not reached", "quotas: ok")
	if d.closed != 1 {
		t.Errorf("closed %d times", d.closed)
	}
	d.login = CheckProblem
	wantLines(t, diagnoseTest(t, t.Context(), "diagnosed://h"), "login: problem", "permissions: not reached", "clock: not reached", "open: not reached", "quotas: not reached")
	d.hosts = []string{"127.0.0.1:0"}
	wantLines(t, diagnoseTest(t, t.Context(), "diagnosed://h"), "dial: problem", "TLS: not reached", "login: not reached")
	wantLines(t, diagnoseTest(t, t.Context(), "diagnosed://h?password-env=NOT_SET_HERE"), "URL: problem:  setting \"password-env\"", "name: not reached", "open: not reached", "eviction: not reached")
	wantLines(t, diagnoseTest(t, t.Context(), "nosuch://h"), "URL: problem:  unknown URL scheme", "eviction: not reached")
	d.hosts = []string{closed}
	d.speaks = SpeaksUpgrade
	wantLines(t, diagnoseTest(t, t.Context(), "diagnosed://h"), "TLS: problem: "+closed+" a TLS port met without TLS", "login: not reached")
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	wantLines(t, diagnoseTest(t, ended, "diagnosed://h"), "URL: not reached:  the diagnosis was interrupted", "login: not reached", "quotas: not reached")
	if err := Diagnose(t.Context(), "diagnosed://h", Trial{}, func(Finding) {}, nil); !errors.Is(err, fairlead.Invalid) {
		t.Errorf("a nil option: %v", err)
	}
}

func TestSpeaksAfter(t *testing.T) {
	for want, serve := range map[Speech]func(net.Conn){
		SpeaksPlain:   func(c net.Conn) { _, _ = c.Read(make([]byte, 9)); _, _ = c.Write([]byte("+")) },
		SpeaksTLS:     func(c net.Conn) { _, _ = c.Read(make([]byte, 9)); _, _ = c.Write([]byte{0x15, 3, 1}) },
		SpeaksUnknown: func(c net.Conn) { _, _ = io.Copy(io.Discard, c) },
	} {
		c, err := net.Dial("tcp", listen(t, serve))
		if err != nil {
			t.Fatal(err)
		}
		if got := SpeaksAfter("PING\r\n")(t.Context(), c); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
		_ = c.Close()
	}
}

// certificate returns a self-signed certificate for localhost.
func certificate(t *testing.T, from, to time.Time) *x509.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "server"}, NotBefore: from, NotAfter: to,
		DNSNames: []string{"localhost"}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, c, c, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	parsed, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return parsed
}

// TestCertificateFaults: all faults of a certificate are named, and how long it is valid.
func TestCertificateFaults(t *testing.T) {
	now := time.Now()
	const day = 24 * time.Hour
	for _, test := range []struct {
		name     string
		from, to time.Duration
		host     string
		unknown  bool // nobody knows who has signed it
		verify   bool
		status   CheckStatus
		says     []string
	}{
		{"valid", -day, 100 * day, "localhost", false, true, CheckOK, []string{"of localhost", "in 99 days"}},
		{"ends soon", -day, 13 * day, "localhost", false, true, CheckWarning, []string{"renew"}},
		{"expired", -9 * day, -day, "localhost", false, true, CheckProblem, []string{"expired on", "renew"}},
		{"not yet", day, 9 * day, "localhost", false, true, CheckProblem, []string{"valid only from", "clock"}},
		{"another name", -day, 100 * day, "h", false, true, CheckProblem, []string{"not for h", "server-name"}},
		{"unknown", -day, 100 * day, "localhost", true, true, CheckProblem, []string{"no known authority", "ca-file"}},
		{"everything", -9 * day, -day, "h", true, true, CheckProblem, []string{"expired on", "not for h", "no known authority"}},
		{"not verified", -9 * day, -day, "h", true, false, CheckWarning, []string{"not verified"}},
	} {
		leaf := certificate(t, now.Add(test.from), now.Add(test.to))
		conf := &tls.Config{ServerName: test.host, RootCAs: x509.NewCertPool()}
		if !test.unknown {
			conf.RootCAs.AddCert(leaf)
		}
		f := certificateFinding(tls.ConnectionState{Version: tls.VersionTLS13, PeerCertificates: []*x509.Certificate{leaf}}, conf, test.verify, now)
		for _, text := range test.says {
			if f.Status != test.status || !strings.Contains(f.Seen+f.Fix, text) {
				t.Errorf("%s: %+v; want %s and %q", test.name, f, test.status, text)
			}
		}
	}
}

func TestClockFinding(t *testing.T) {
	before := time.Now()
	after := before.Add(10 * time.Millisecond)
	for _, test := range []struct {
		told       time.Time
		resolution time.Duration
		status     CheckStatus
		says       string
	}{
		{before.Add(5 * time.Millisecond), 0, CheckOK, "no difference"},
		{before.Add(-999 * time.Millisecond), time.Second, CheckOK, "no difference"},
		{before.Add(-500 * time.Millisecond), 0, CheckOK, "500ms behind"},
		{after.Add(2 * time.Second), 0, CheckWarning, "2s ahead"},
		{before.Add(-4 * time.Second), time.Second, CheckWarning, "3s behind"},
	} {
		if f := ClockFinding(test.told, before, after, test.resolution); f.Status != test.status || !strings.Contains(f.Seen, test.says) || (f.Fix != "") != (test.status == CheckWarning) {
			t.Errorf("%+v; want %s and %q", f, test.status, test.says)
		}
	}
}

func TestFormatBytes(t *testing.T) {
	for n, want := range map[float64]string{0: "0 bytes", 999: "999 bytes", 1024: "1.0 KiB", 1 << 20: "1.0 MiB", 1023 << 10: "1.0 MiB", 5 << 40: "5.0 TiB", 1 << 60: "1048576.0 TiB"} {
		if got := FormatBytes(n); got != want {
			t.Errorf("%v: %q, want %q", n, got, want)
		}
	}
}
