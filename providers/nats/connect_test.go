package nats_test

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	natsgo "github.com/nats-io/nats.go"
	"github.com/nats-io/nkeys"
	"go.uber.org/goleak"

	"fairlead.dev"
	"fairlead.dev/internal/dev/check"
	"fairlead.dev/internal/dev/testbed"
	"fairlead.dev/kv"
	"fairlead.dev/pubsub"
)

func open(t *testing.T, url string) fairlead.Provider {
	t.Helper()
	p, err := fairlead.Open(t.Context(), url)
	check.NoError(t, err)
	t.Cleanup(func() { _ = p.Close(t.Context()) })
	return p
}

// works requires that a store can be written and read.
func works(t *testing.T, p fairlead.Provider) {
	t.Helper()
	s, err := kv.Open(t.Context(), p, "works")
	check.NoError(t, err)
	rev, err := s.Put(t.Context(), "a/b", []byte("v"))
	check.NoError(t, err)
	if e, err := s.Get(t.Context(), "a/b"); err != nil || string(e.Value) != "v" || e.Revision != rev {
		t.Fatalf("%+v, %v", e, err)
	}
}

func refused(t *testing.T, url string, want fairlead.Code, secrets ...string) {
	t.Helper()
	p, err := fairlead.Open(t.Context(), url)
	if err == nil {
		_ = p.Close(t.Context())
	}
	if fairlead.CodeOf(err) != want {
		t.Errorf("want %s, got %v", want, err)
	}
	for _, s := range secrets {
		if err != nil && strings.Contains(err.Error(), s) {
			t.Errorf("the error shows a credential: %v", err)
		}
	}
}

func write(t *testing.T, text string) (path string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "secret")
	check.NoError(t, os.WriteFile(path, []byte(text), 0o600))
	return path
}

func TestTLS(t *testing.T) {
	server := testbed.NATS(t, testbed.NATSTLS(true))
	certs := server.Certificates()
	q := url.Values{"ca-file": {certs.CA}, "cert-file": {certs.ClientCert}, "key-file": {certs.ClientKey}}
	works(t, open(t, server.URL()+"?"+q.Encode()))
	for name, change := range map[string]func(url.Values){
		"no client certificate": func(q url.Values) { q.Del("cert-file"); q.Del("key-file") },
		"unknown authority":     func(q url.Values) { q.Del("ca-file") },
		"another name":          func(q url.Values) { q.Set("server-name", "example.org") },
	} {
		t.Run(name, func(t *testing.T) {
			bad := url.Values{}
			for k, v := range q {
				bad[k] = v
			}
			change(bad)
			refused(t, server.URL()+"?"+bad.Encode(), fairlead.Unavailable)
		})
	}
	q.Del("ca-file")
	q.Set("insecure-skip-verify", "true")
	open(t, server.URL()+"?"+q.Encode())
}

func TestTLSDemanded(t *testing.T) {
	server := testbed.NATS(t)
	refused(t, server.URL()+"?tls=true", fairlead.Unavailable)
}

func TestUserAndPassword(t *testing.T) {
	server := testbed.NATS(t, testbed.NATSUser("app", "s3cret"))
	works(t, open(t, server.URLFor("app", "s3cret")))
	works(t, open(t, strings.Replace(server.URL(), "nats://", "nats://app@", 1)+"?password-file="+write(t, "s3cret\n")))
	refused(t, server.URLFor("app", "wr0ng"), fairlead.PermissionDenied, "wr0ng")
	refused(t, server.URL(), fairlead.PermissionDenied)
	d, err := open(t, server.URLFor("app", "s3cret")).Describe(t.Context())
	if text := fmt.Sprintf("%+v", d); err != nil || strings.Contains(text, "s3cret") {
		t.Errorf("%v: the description is %s", err, text)
	}
}

func TestToken(t *testing.T) {
	server := testbed.NATS(t, testbed.NATSToken("t0ken"))
	t.Setenv("FAIRLEAD_TEST_TOKEN", "t0ken")
	for _, u := range []string{
		server.URLFor("t0ken", ""), server.URL() + "?token-env=FAIRLEAD_TEST_TOKEN", server.URL() + "?token-file=" + write(t, "t0ken\n"),
	} {
		works(t, open(t, u))
	}
	refused(t, server.URLFor("wr0ng", ""), fairlead.PermissionDenied, "wr0ng")
}

func must[V any](t *testing.T, v V, err error) V {
	t.Helper()
	check.NoError(t, err)
	return v
}

// identity returns a key pair and its public key.
func identity(t *testing.T, create func() (nkeys.KeyPair, error)) (key nkeys.KeyPair, public string) {
	t.Helper()
	k, err := create()
	key = must(t, k, err)
	public, err = key.PublicKey()
	return key, must(t, public, err)
}

func seed(t *testing.T, key nkeys.KeyPair) string {
	t.Helper()
	s, err := key.Seed()
	return string(must(t, s, err))
}

func TestNKey(t *testing.T) {
	key, public := identity(t, nkeys.CreateUser)
	other, _ := identity(t, nkeys.CreateUser)
	server := testbed.NATS(t, testbed.NATSNKey(public))
	works(t, open(t, server.URL()+"?nkey-file="+write(t, seed(t, key))))
	refused(t, server.URL()+"?nkey-file="+write(t, seed(t, other)), fairlead.PermissionDenied, seed(t, other))
	refused(t, server.URL()+"?nkey-file="+write(t, "no seed"), fairlead.Invalid)
}

// token returns a signed JWT with claims in the form that NATS uses.
func token(t *testing.T, signer nkeys.KeyPair, issuer, subject string, claims map[string]any) string {
	t.Helper()
	part := func(v any) string {
		b, err := json.Marshal(v)
		return base64.RawURLEncoding.EncodeToString(must(t, b, err))
	}
	text := part(map[string]string{"typ": "JWT", "alg": "ed25519-nkey"}) + "." +
		part(map[string]any{"jti": subject, "iat": 1, "iss": issuer, "name": subject, "sub": subject, "nats": claims})
	sig, err := signer.Sign([]byte(text))
	return text + "." + base64.RawURLEncoding.EncodeToString(must(t, sig, err))
}

func TestCredentialsFile(t *testing.T) {
	operator, operatorID := identity(t, nkeys.CreateOperator)
	account, accountID := identity(t, nkeys.CreateAccount)
	_, systemID := identity(t, nkeys.CreateAccount)
	user, userID := identity(t, nkeys.CreateUser)
	limits := map[string]any{"subs": -1, "data": -1, "payload": -1, "imports": -1, "exports": -1, "wildcards": true,
		"conn": -1, "leaf": -1, "mem_storage": -1, "disk_storage": -1, "streams": -1, "consumer": -1}
	accountToken := token(t, operator, operatorID, accountID, map[string]any{"type": "account", "version": 2, "limits": limits})
	systemToken := token(t, operator, operatorID, systemID, map[string]any{"type": "account", "version": 2, "limits": map[string]any{
		"subs": -1, "data": -1, "payload": -1, "imports": -1, "exports": -1, "wildcards": true, "conn": -1, "leaf": -1}})
	server := testbed.NATS(t, testbed.NATSConf(
		"operator: "+token(t, operator, operatorID, operatorID, map[string]any{"type": "operator", "version": 2, "system_account": systemID}),
		"system_account: "+systemID, "resolver: MEMORY",
		fmt.Sprintf("resolver_preload: { %s: %s, %s: %s }", accountID, accountToken, systemID, systemToken),
	))
	userToken := token(t, account, accountID, userID, map[string]any{"type": "user", "version": 2, "subs": -1, "data": -1, "payload": -1})
	creds := "-----BEGIN NATS USER JWT-----\n" + userToken + "\n------END NATS USER JWT------\n\n" +
		"-----BEGIN USER NKEY SEED-----\n" + seed(t, user) + "\n------END USER NKEY SEED------\n"
	works(t, open(t, server.URL()+"?creds-file="+write(t, creds)))
	refused(t, server.URL(), fairlead.PermissionDenied)
}

func TestPermissions(t *testing.T) {
	server := testbed.NATS(t, testbed.NATSConf(
		`accounts { A { jetstream: enabled, users: [ { user: "app", password: "pw", permissions: { publish: { deny: ["fairlead.kv.>"] } } } ] } }`))
	p := open(t, server.URLFor("app", "pw"))
	s, err := kv.Open(t.Context(), p, "denied")
	check.NoError(t, err)
	if _, err := s.Put(t.Context(), "k", nil); !errors.Is(err, fairlead.PermissionDenied) {
		t.Errorf("a write that the server refuses to this user: %v", err)
	}
}

func TestInvalidSettings(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	check.NoError(t, os.WriteFile(file, nil, 0o600))
	for _, c := range []struct{ query, says string }{
		{"replicas=2", "replicas"},
		{"replicas=6", "replicas"},
		{"prefix=a.b", "prefix"},
		{"prefix=", "prefix"},
		{"monitor=127.0.0.1", "monitor"},
		{"cert-file=/dev/null", "cert-file"},
		{"ca-file=/dev/null", "ca-file"},
		{"tls=false&server-name=x", "tls"},
		{"watch-history=1s", "watch-history"},
		{"token-env=FAIRLEAD_NOT_SET", "token-env"},
		{"nkey-file=" + file + "&creds-file=" + file, "more than one way"},
		{"sise=1", "unknown setting"},
	} {
		_, err := fairlead.Open(t.Context(), "nats://127.0.0.1:1?"+c.query)
		if !errors.Is(err, fairlead.Invalid) || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v; want Invalid and %q", c.query, err, c.says)
		}
	}
	for _, u := range []string{"nats://", "nats://h/path", "nats://u:p@h?token-env=X", "nats://:p@h"} {
		if _, err := fairlead.Open(t.Context(), u); !errors.Is(err, fairlead.Invalid) {
			t.Errorf("%s: %v; want Invalid", u, err)
		}
	}
	refused(t, "nats://127.0.0.1:1", fairlead.Unavailable)
}

func TestLeavesNothingBehind(t *testing.T) {
	server := testbed.NATS(t)
	before := goleak.IgnoreCurrent()
	opened, err := fairlead.Open(t.Context(), server.URL()+"?monitor="+server.MonitorURL())
	check.NoError(t, err)
	works(t, opened)
	var nc *natsgo.Conn
	if !fairlead.As(opened, &nc) || !nc.IsConnected() {
		t.Error("As does not find the client")
	}
	check.NoError(t, opened.Close(t.Context()))
	goleak.VerifyNone(t, before)
}

// TestOpenWhileTheLastStoreIsDeleted: the server removes the folder of all streams
// together with the last stream. It cannot create a stream at that moment.
func TestOpenWhileTheLastStoreIsDeleted(t *testing.T) {
	p := open(t, testbed.NATS(t).URL())
	ctx := t.Context()
	for i := range 100 {
		was, next := fmt.Sprint("s", i), fmt.Sprint("s", i+1)
		if _, err := kv.Open(ctx, p, was); err != nil {
			t.Fatal(err)
		}
		deleted := make(chan error, 1)
		go func() { deleted <- kv.DeleteStore(ctx, p, was) }()
		_, err := kv.Open(ctx, p, next)
		check.NoError(t, errors.Join(err, <-deleted))
	}
}

// Numbers outside of the bounds of a setting are refused before anything is dialed;
// those at the bounds are not.
func TestSettingBounds(t *testing.T) {
	for setting, values := range map[string]struct{ good, bad []string }{
		"replicas":        {[]string{"1", "3", "5"}, []string{"-1", "0", "2", "4", "6", "7", "1.5", "9223372036854775808", "x", ""}},
		"dial-timeout":    {[]string{"10ms", "20ms"}, []string{"-1s", "0s", "0", "9ms", "1h1ns", "2562047h48m", "9e99h"}},
		"request-timeout": {[]string{"10ms", "1h"}, []string{"-1ns", "0s", "9.999999ms", "1h1ns", "2562047h47m16.854775807s"}},
		"probe-interval":  {[]string{"50ms", "1m"}, []string{"0s", "49ms", "61s", "-1h"}},
		"watch-history":   {[]string{"1m", "8760h"}, []string{"0s", "59.999999999s", "8760h1ns", "-1m"}},
		"retention":       {[]string{"0s", "1ns", "8760h"}, []string{"-1ns", "8760h1ns", "forever"}},
		"dedupe-window":   {[]string{"100ms", "24h"}, []string{"99.999999ms", "24h1ns", "0s", "-1s"}},
	} {
		for _, v := range values.bad {
			refused(t, "nats://127.0.0.1:1?"+setting+"="+url.QueryEscape(v), fairlead.Invalid)
		}
		if setting == "dial-timeout" {
			continue // it may be given once
		}
		for _, v := range values.good {
			refused(t, "nats://127.0.0.1:1?dial-timeout=50ms&"+setting+"="+url.QueryEscape(v), fairlead.Unavailable)
		}
	}
}

// A password in the URL of a monitoring page appears in no description.
func TestMonitorPasswordIsHidden(t *testing.T) {
	d, err := open(t, testbed.NATS(t).URL()+"?monitor="+url.QueryEscape("http://user:canary@127.0.0.1:1")).Describe(t.Context())
	check.NoError(t, err)
	if text := fmt.Sprintf("%+v", d); strings.Contains(text, "canary") || !strings.Contains(text, "monitoring page") {
		t.Errorf("the description has the password, or not the page: %s", text)
	}
}

// documentedAccount is the configuration of a user with the permissions that
// docs/providers/nats.md lists, for the subjects of a prefix, without one of them.
func documentedAccount(t *testing.T, prefix, without string) testbed.NATSOption {
	t.Helper()
	page, err := os.ReadFile("../../docs/providers/nats.md")
	check.NoError(t, err)
	var rights []string
	for _, action := range []string{"publish", "subscribe"} {
		_, row, ok := strings.Cut(string(page), "| "+action+" | ")
		if !ok {
			t.Fatalf("docs/providers/nats.md has no row for %q", action)
		}
		row, _, _ = strings.Cut(row, " |\n")
		row = strings.NewReplacer("`", `"`, "{prefix}", prefix).Replace(row)
		if without != "" {
			row = strings.Replace(row, `"`+without+`", `, "", 1)
		}
		rights = append(rights, action+": { allow: ["+row+"] }")
	}
	return testbed.NATSConf(
		`accounts { A { jetstream: enabled, users: [ { user: "app", password: "pw", permissions: { ` + strings.Join(rights, ", ") + ` } } ] } }`)
}

// The permissions that docs/providers/nats.md lists are enough. Without the one for
// removals, watchers work all the same.
func TestDocumentedPermissions(t *testing.T) {
	for _, without := range []string{"", "fairlead.kvd.>"} {
		server := testbed.NATS(t, documentedAccount(t, "fairlead", without))
		p := open(t, server.URLFor("app", "pw"))
		works(t, p)
		s, err := kv.Open(t.Context(), p, "s")
		check.NoError(t, err)
		w, err := s.Watch(t.Context(), "")
		check.NoError(t, err)
		_, err = s.Put(t.Context(), "k", nil)
		check.NoError(t, err)
		if events, err := w.Next(t.Context()); err != nil || len(events) != 1 {
			t.Errorf("a watcher without %q: %v, %v", without, events, err)
		}
		topic, err := pubsub.Open(t.Context(), p, "t")
		check.NoError(t, err)
		sub, err := pubsub.Subscribe(t.Context(), p, "t", pubsub.Group("g"))
		check.NoError(t, err)
		_, err = topic.Publish(t.Context(), pubsub.Message{Key: "k", Body: []byte("m")})
		check.NoError(t, err)
		got, err := sub.Receive(t.Context())
		check.NoError(t, err)
		check.NoError(t, got.Ack(t.Context()))
	}
}
