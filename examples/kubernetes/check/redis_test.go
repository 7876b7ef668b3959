package check

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"

	"fairlead.dev"
	"fairlead.dev/internal/dev/testbed"
	_ "fairlead.dev/providers/redis"
)

const password = "not-a-secret"

// server starts a real Redis with the redis.conf of the ConfigMap. Settings that
// the ConfigMap does not have get the worst values.
func server(t *testing.T, secret string) *testbed.RedisServer {
	t.Helper()
	lines := []string{"appendonly no", "appendfsync everysec", "no-appendfsync-on-rewrite yes", "save 3600 1", "maxmemory 1gb", "maxmemory-policy allkeys-lru"}
	for line := range strings.Lines(the[*corev1.ConfigMap](t).Data["redis.conf"]) {
		line = strings.ReplaceAll(strings.TrimSpace(line), "/etc/redis/secret", secret)
		switch word, _, _ := strings.Cut(line, " "); word {
		case "", "dir", "port", "bind": // valid only in the container
		default:
			lines = append(lines, line)
		}
	}
	return testbed.Redis(t, testbed.RedisPassword(password), testbed.RedisConf(lines...))
}

// secretFolder returns a folder with the files of the Secret, as it is mounted.
func secretFolder(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	write(t, filepath.Join(dir, "password"), password)
	write(t, filepath.Join(dir, "auth.conf"), "requirepass "+password+"\n")
	return dir
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// TestRedisIsDurable shows that DurableFsync is claimed on a server with the
// ConfigMap's settings.
func TestRedisIsDurable(t *testing.T) {
	s := server(t, secretFolder(t))
	p, err := fairlead.Open(t.Context(), s.URLFor("default", password))
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close(t.Context())
	d, err := p.Describe(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range []fairlead.Facet{fairlead.KV, fairlead.PubSub} {
		fd, _ := d.Facet(f)
		if m, lacks := fairlead.DurableFsync.Check(fd); lacks {
			t.Errorf("%s: %v", f, m)
		}
	}
}

// TestRedisProbes runs the probes on a server that serves, on one that has
// another password, and on one that is gone.
func TestRedisProbes(t *testing.T) {
	secret := secretFolder(t)
	s := server(t, secret)
	c := the[*appsv1.StatefulSet](t).Spec.Template.Spec.Containers[0]
	wantProbe(t, "ready", c.ReadinessProbe, s, secret, true)
	wantProbe(t, "alive", c.LivenessProbe, s, secret, true)
	write(t, filepath.Join(secret, "password"), "another")
	wantProbe(t, "ready with a wrong password", c.ReadinessProbe, s, secret, false)
	if err := s.Kill(t.Context()); err != nil {
		t.Fatal(err)
	}
	wantProbe(t, "ready when it is gone", c.StartupProbe, s, secret, false)
	wantProbe(t, "alive when it is gone", c.LivenessProbe, s, secret, false)
}

func wantProbe(t *testing.T, what string, p *corev1.Probe, s *testbed.RedisServer, secret string, want bool) {
	t.Helper()
	var command []string
	for _, arg := range p.Exec.Command {
		command = append(command, strings.ReplaceAll(arg, "/etc/redis/secret", secret))
	}
	// In the container the server has its usual port.
	usual := filepath.Join(redisCLI(t, s), "redis-cli")
	cmd := exec.CommandContext(t.Context(), command[0], command[1:]...)
	if command[0] == "redis-cli" {
		cmd = exec.CommandContext(t.Context(), usual, command[1:]...)
	}
	cmd.Env = append(os.Environ(), "PATH="+filepath.Dir(usual)+":"+os.Getenv("PATH"))
	if out, err := cmd.CombinedOutput(); (err == nil) != want {
		t.Errorf("%s: %v, %s", what, err, out)
	}
}

// redisCLI returns a folder with a redis-cli for which the server's port is the
// usual one.
func redisCLI(t *testing.T, s *testbed.RedisServer) string {
	t.Helper()
	path, err := exec.LookPath("redis-cli")
	if err != nil {
		t.Fatal(err)
	}
	_, port, _ := strings.Cut(s.Addr(), ":")
	dir := t.TempDir()
	script := filepath.Join(dir, "redis-cli")
	write(t, script, "#!/bin/sh\nexec "+path+" -p "+port+" \"$@\"\n")
	if err := os.Chmod(script, 0o700); err != nil {
		t.Fatal(err)
	}
	return dir
}
