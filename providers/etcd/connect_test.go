package etcd_test

import (
	"context"
	"maps"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"fairlead.dev"
	"fairlead.dev/internal/dev/check"
	"fairlead.dev/internal/dev/testbed"
)

func TestTLS(t *testing.T) {
	server := testbed.Etcd(t, testbed.EtcdTLS(true))
	certs := server.Certificates()
	q := url.Values{"ca-file": {certs.CA}, "cert-file": {certs.ClientCert}, "key-file": {certs.ClientKey}}
	p := open(t, server.URL()+"?"+q.Encode())
	s := openStore(t, p, "tls")
	mustPut(t, s, "k", "1", 0)
	wantValue(t, s, "k", "1")
	if f := facet(t, p); !f.Has(fairlead.DurableFsync) {
		t.Errorf("the metrics are not read over TLS: %v", f.Missing)
	}
	q.Set("server-name", "localhost") // which the certificate has, too
	open(t, server.URL()+"?"+q.Encode())
	for name, change := range map[string]func(url.Values){
		"no client certificate": func(q url.Values) { q.Del("cert-file"); q.Del("key-file") },
		"unknown authority":     func(q url.Values) { q.Del("ca-file") },
		"another name":          func(q url.Values) { q.Set("server-name", "example.org") },
	} {
		t.Run(name, func(t *testing.T) {
			bad := maps.Clone(q)
			change(bad)
			_, err := fairlead.Open(t.Context(), server.URL()+"?"+bad.Encode())
			check.Code(t, err, fairlead.Unavailable)
		})
	}
}

func TestCredentials(t *testing.T) {
	server := testbed.Etcd(t, testbed.EtcdRootPassword("s3cret"))
	addUser(t, server, "app", "app-pw", "fairlead/")
	file := filepath.Join(t.TempDir(), "pw")
	check.NoError(t, os.WriteFile(file, []byte("s3cret\n"), 0o600))
	t.Setenv("FAIRLEAD_TEST_PASSWORD", "app-pw")
	as := func(user, query string) string {
		return strings.Replace(server.URL(), "etcd://", "etcd://"+user+"@", 1) + query
	}
	for _, u := range []string{
		server.URLFor("root", "s3cret"), server.URLFor("app", "app-pw"),
		as("root", "?password-file="+file), as("app", "?password-env=FAIRLEAD_TEST_PASSWORD"),
	} {
		p := open(t, u)
		s := openStore(t, p, "pw")
		mustPut(t, s, "k", "1", time.Minute)
		wantValue(t, s, "k", "1")
		if m := missing(t, p, fairlead.DurableFsync); m != "" {
			t.Errorf("%s: %s", u, m)
		}
		if d, err := p.Describe(t.Context()); err != nil || strings.Contains(d.Endpoint, "@") {
			t.Errorf("%q, %v", d.Endpoint, err)
		}
	}
	for name, u := range map[string]string{
		"wrong password":  server.URLFor("root", "wrong-pw"),
		"unknown user":    server.URLFor("nobody", "wrong-pw"),
		"nobody":          server.URL(),
		"another prefix":  server.URLFor("app", "app-pw") + "?prefix=other",
		"password missed": as("root", ""),
	} {
		t.Run(name, func(t *testing.T) {
			_, err := fairlead.Open(t.Context(), u)
			if code := fairlead.CodeOf(err); code != fairlead.PermissionDenied && code != fairlead.Invalid {
				t.Errorf("%v", err)
			}
			if strings.Contains(err.Error(), "-pw") {
				t.Errorf("the password is in the error: %v", err)
			}
		})
	}
}

// TestLoginSurvivesRestart: the server forgets the logins when it is killed.
func TestLoginSurvivesRestart(t *testing.T) {
	server := testbed.Etcd(t, testbed.EtcdRootPassword("s3cret"))
	s := openStore(t, open(t, server.URLFor("root", "s3cret")), "s")
	mustPut(t, s, "k", "1", 0)
	w := watch(t, s, "")
	check.NoError(t, server.Kill(t.Context()))
	check.NoError(t, server.Start(t.Context()))
	check.Eventually(t, "a put after the restart", func() bool { return put(t, s, "k", "2") == nil })
	if e := next(t, w); string(e[0].Value) != "2" {
		t.Errorf("the watch shows %q", e[0].Value)
	}
}

// addUser adds a user that may read and write the keys with a prefix.
func addUser(t *testing.T, server *testbed.EtcdServer, name, password, prefix string) {
	t.Helper()
	c, err := server.Client()
	check.NoError(t, err)
	defer c.Close()
	for _, step := range []func() error{
		func() error { _, err := c.RoleAdd(t.Context(), name); return err },
		func() error {
			_, err := c.RoleGrantPermission(t.Context(), name, prefix, clientv3.GetPrefixRangeEnd(prefix), clientv3.PermissionType(clientv3.PermReadWrite))
			return err
		},
		func() error { _, err := c.UserAdd(t.Context(), name, password); return err },
		func() error { _, err := c.UserGrantRole(t.Context(), name, name); return err },
	} {
		check.NoError(t, step())
	}
}

func TestBadURLs(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file.pem")
	check.NoError(t, os.WriteFile(file, nil, 0o600))
	for u, want := range map[string]string{
		"etcd://":                               "names no host",
		"etcd://127.0.0.1:1/path":               "path",
		"etcd://127.0.0.1:1?prefix=":            "prefix",
		"etcd://127.0.0.1:1?ca-file=" + file:    "etcds",
		"etcd://user@127.0.0.1:1":               "password",
		"etcd://127.0.0.1:1?nonsense=1":         "nonsense",
		"etcds://127.0.0.1:1?cert-file=" + file: "key-file",
	} {
		_, err := fairlead.Open(t.Context(), u)
		check.Code(t, err, fairlead.Invalid)
		if err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%s: the error does not say %q: %v", u, want, err)
		}
	}
}

// TestNobodyThere: Open fails with a clear error within seconds.
func TestNobodyThere(t *testing.T) {
	paused := testbed.Etcd(t)
	check.NoError(t, paused.Pause(t.Context()))
	for name, u := range map[string]string{
		"refused":          "etcd://127.0.0.1:1",
		"refused, a login": "etcd://u:p@127.0.0.1:1",
		"silent":           paused.URL() + "?request-timeout=1s&dial-timeout=1s",
		"silent, a login":  paused.URLFor("u", "p") + "?request-timeout=1s&dial-timeout=1s",
	} {
		t.Run(name, func(t *testing.T) {
			began := time.Now()
			_, err := fairlead.Open(t.Context(), u)
			if code := fairlead.CodeOf(err); code != fairlead.Unavailable && code != fairlead.DeadlineExceeded {
				t.Errorf("%v", err)
			}
			if took := time.Since(began); took > 10*time.Second {
				t.Errorf("it took %v", took)
			}
		})
	}
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	began := time.Now()
	for _, u := range []string{paused.URL(), paused.URLFor("u", "p")} {
		_, err := fairlead.Open(ctx, u)
		check.Code(t, err, fairlead.DeadlineExceeded)
	}
	if took := time.Since(began); took > 3*time.Second {
		t.Errorf("giving up took %v", took)
	}
}

// TestReasonOfAFailedLogin: Open says why it cannot log in, at once.
func TestReasonOfAFailedLogin(t *testing.T) {
	plain, secure := testbed.Etcd(t), testbed.Etcd(t, testbed.EtcdTLS(false))
	ca := url.Values{"ca-file": {secure.Certificates().CA}}.Encode()
	for name, test := range map[string]struct{ url, want string }{
		"nobody listens":      {"etcd://u:p@127.0.0.1:1", "refused"},
		"an unknown host":     {"etcd://u:p@host.invalid:1", "host.invalid"},
		"an unknown CA":       {secure.URLFor("u", "p"), "unknown authority"},
		"another name":        {secure.URLFor("u", "p") + "?server-name=example.org&" + ca, "example.org"},
		"TLS, spoken plainly": {strings.Replace(secure.URLFor("u", "p"), "etcds:", "etcd:", 1), "etcds://"},
		"plain, spoken TLS":   {strings.Replace(plain.URLFor("u", "p"), "etcd:", "etcds:", 1) + "?" + ca, "TLS"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := fairlead.Open(t.Context(), test.url)
			check.Code(t, err, fairlead.Unavailable)
			if err == nil || !strings.Contains(err.Error(), test.want) || strings.Contains(err.Error(), "deadline") {
				t.Errorf("the error does not say %q: %v", test.want, err)
			}
		})
	}
}
