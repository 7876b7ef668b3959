package main

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"fairlead.dev/internal/dev/testbed"
)

// canary is a password that no command prints, in whatever place it is given. The
// parts of it are around reserved characters.
const canary = "c4nary"

func wantNoCanary(t *testing.T, args ...string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second) // ends a watch, and a backend that does not answer
	defer cancel()
	var out bytes.Buffer
	run(ctx, args, &out, &out)
	if strings.Contains(out.String(), canary) {
		t.Errorf("%q prints\n%s", args, out.String())
	}
}

func TestCommandsShowNoPasswordOfURLs(t *testing.T) {
	host := strings.TrimPrefix(testbed.Redis(t).URL(), "redis://") // it has no such user
	for _, url := range []string{
		"redis://user:" + canary + "@" + host, "redis://:" + canary + "@" + host, "redis://user:12/" + canary + "@" + host,
		"redis://user:12?" + canary + "@" + host, "redis://user:12#" + canary + "@" + host, "redis://user:" + canary + "%zz@" + host,
		"redis://user:" + canary, "redis:user:" + canary + "@" + host, "redis//user:" + canary + "@" + host, "user:" + canary + "@" + host,
		"nosuch://user:" + canary + "@" + host, "redis://user:" + canary + "@127.0.0.1:1", "redis://" + host + "?password-file=" + canary,
		"redis://" + host + "?password-env=" + canary, "file://user:" + canary + "@" + host, "file:redis://user:" + canary + "@" + host, canary + "@" + host,
	} {
		for _, command := range [][]string{
			{"describe", url}, {"describe", url, "--json"}, {"doctor", url}, {"doctor", url, "--json"}, {"conformance", url, "--run", "^kv/put-get$"}, {"conformance", "clean", url},
			{"config", "get", url, "-n", "x"}, {"config", "set", url, "-n", "x", "a=b"}, {"config", "watch", url, "-n", "x"},
			{"config", "explain", url, "-n", "x"}, {"config", "diff", url, "env:NONE_", "-n", "x"}, {url}, {"config", url}, {"plugin", url},
			{"plugin", "list", url}, {"plugin", "verify", "a", url}, {"new", url}, {"describe", url, url}, {"describe", "-p" + canary, url},
		} {
			wantNoCanary(t, command...)
		}
	}
}

func TestCommandsShowNoSecretValues(t *testing.T) {
	on := testbed.Redis(t).URL()
	const odd = canary + "\"\\\n'"
	file := filepath.Join(t.TempDir(), "secrets.yaml")
	values := map[string]string{
		"db/pass": canary, "passphrase": canary, "dsn": canary, "smtpPass": canary, "DB_PW": canary, "aws.creds": canary, "login/token": odd,
		"url": "redis://user:" + canary + "@h/0", "odd-url": "amqp://user:a/?#" + canary + "@h", "url-user": "nats://" + canary + "@h",
		"urls": "redis://u:" + canary + "@h1,redis://u:p" + canary + "@h2", "mysql": "root:" + canary + "@tcp(h:3306)/db",
		"libpq": "host=h password=" + canary + " dbname=x", "azure": "Endpoint=x;AccountKey=" + canary + ";y=z", "query": "https://h/?a=b&token=" + canary,
		"json": `{"user": "u", "password": "` + canary + `"}`, "quoted": `password = "` + canary + ` x"`,
	}
	text := ""
	set := []string{"config", "set", on, "-n", "canary"}
	for key, value := range values {
		set = append(set, key+"="+value)
		text += strings.ReplaceAll(key, "/", "-") + ": '" + strings.ReplaceAll(value, "'", "''") + "'\n"
	}
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	wantNoCanary(t, set...)
	for _, command := range [][]string{
		{"get", on}, {"get", on, "--json"}, {"watch", on}, {"watch", on, "--json"}, {"explain", on}, {"explain", on, "file:" + file, "--json"},
		{"explain", "file:" + file}, {"diff", on, "file:" + file}, {"diff", on, on, "--other-name", "none", "--json"}, {"get", "file:" + file}, {"get", "file:" + file, "--json"},
		{"set", on, "password", canary}, {"set", on, "password=", canary}, {"set", on, "--file", canary}, {"set", on, "--file", "password=" + canary},
		{"set", on, "dsn=" + canary, "--if-absent", "dsn"},
	} {
		wantNoCanary(t, append([]string{"config", "-n", "canary"}, command...)...)
	}
	for key := range values {
		wantNoCanary(t, "config", "get", on, "-n", "canary", key)
	}
	if out := want(t, exitOK, "config get "+on+" -n canary url"); out != "redis://user:[secret]@h/0\n" {
		t.Errorf("the URL is printed as %q", out)
	}
	if out := want(t, exitOK, "config get "+on+" -n canary url --reveal"); !strings.Contains(out, canary) {
		t.Errorf("revealed: %q", out)
	}
}
