package main

import (
	"encoding/json"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"fairlead.dev"
	"fairlead.dev/conformance"
	"fairlead.dev/internal/dev/check"
)

// ownRedis is a Redis that shell commands start and kill, as an operator's do.
type ownRedis struct{ dir, url, start, kill string }

// newOwnRedis starts a Redis with an appendfsync, and a user "app" with all permissions
// that ACL rules leave.
func newOwnRedis(t *testing.T, appendfsync, rules string) ownRedis {
	t.Helper()
	dir := t.TempDir()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	check.NoError(t, err)
	port := l.Addr().(*net.TCPAddr).Port
	check.NoError(t, l.Close())
	conf := []string{
		fmt.Sprint("port ", port), "bind 127.0.0.1", "dir " + dir, "daemonize yes", "pidfile " + dir + "/pid", "logfile " + dir + "/log",
		"save \"\"", "appendonly yes", "appendfsync " + appendfsync,
		"user app on >secret ~* &* +@all " + rules,
	}
	file := filepath.Join(dir, "redis.conf")
	check.NoError(t, os.WriteFile(file, []byte(strings.Join(conf, "\n")+"\n"), 0o600))
	r := ownRedis{
		dir:   dir,
		url:   fmt.Sprintf("redis://app:secret@127.0.0.1:%d", port),
		start: fmt.Sprintf("redis-server %s && until redis-cli -p %d ping | grep -q PONG; do sleep 0.05; done", file, port),
		kill:  fmt.Sprintf("kill -9 $(cat %s/pid); while kill -0 $(cat %s/pid) 2>/dev/null; do sleep 0.02; done", dir, dir),
	}
	check.NoError(t, shellCommand{"start-command", r.start}.run(t.Context()))
	t.Cleanup(func() { _ = shellCommand{"kill-command", r.kill}.run(t.Context()) })
	return r
}

// run runs the case of durability of kv, and returns the verdict on the claim.
func (r ownRedis) run(t *testing.T, query string, wantCode int, flags ...string) (conformance.ClaimResult, string) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "report.json")
	args := append([]string{"conformance", r.url + query, "--run", "^kv/(durable|kill)-fsync$", "--json", file, "--start-command", r.start}, flags...)
	code, stdout, stderr := runCommand(t, args...)
	if code != wantCode {
		t.Fatalf("exit code %d, want %d\n%s%s", code, wantCode, stdout, stderr)
	}
	var report conformance.Report
	check.NoError(t, json.Unmarshal(read(t, file), &report))
	for _, c := range report.Claims {
		if c.Facet == fairlead.KV && c.Claim == fairlead.DurableFsync {
			return c, stdout
		}
	}
	t.Fatal("the report has no verdict on DurableFsync")
	return conformance.ClaimResult{}, ""
}

// TestEvidenceOfDurability: a kill keeps the page cache. So a Redis that syncs once a
// second survives it, and an assertion of the opposite stays an assertion. A loss of
// power refutes it.
func TestEvidenceOfDurability(t *testing.T) {
	everysec := newOwnRedis(t, "everysec", "-config")
	c, stdout := everysec.run(t, "?assert-durable=true", exitOK, "--kill-command", everysec.kill)
	if c.Verdict != conformance.AssertedByOperator || c.Kills == 0 || c.Acknowledged == 0 || c.Basis.Detail != "assert-durable=true" {
		t.Errorf("everysec, asserted, killed: %+v", c)
	}
	for _, word := range []string{"proven", "SurvivedPowerLoss"} {
		if strings.Contains(stdout, word) {
			t.Errorf("the report says %q:\n%s", word, stdout)
		}
	}
	if want := fmt.Sprintf("all %d acknowledged writes were found after %d kills", c.Acknowledged, c.Kills); !strings.Contains(c.Evidence(), want) {
		t.Errorf("%s; want %s", c.Evidence(), want)
	}
	loseTail := everysec.kill + fmt.Sprintf("; truncate -s -3000 %s/appendonlydir/*.incr.aof", everysec.dir)
	c, _ = everysec.run(t, "?assert-durable=true", exitFailure, "--cut-command", loseTail)
	if c.Verdict != conformance.Refuted || len(c.Broken) != 1 || c.Broken[0].Harm != conformance.DataLost {
		t.Errorf("everysec, asserted, power cut: %+v", c)
	}
}

// TestEvidenceOfSettings: what the provider has read is a part of the verdict.
func TestEvidenceOfSettings(t *testing.T) {
	always := newOwnRedis(t, "always", "")
	for _, c := range []struct {
		flag string
		want conformance.Verdict
	}{{"--kill-command", conformance.SurvivedKills}, {"--cut-command", conformance.SurvivedPowerLoss}} {
		got, _ := always.run(t, "", exitOK, c.flag, always.kill)
		if got.Verdict != c.want || got.Basis == nil || got.Basis.Kind != fairlead.Verified || !strings.Contains(got.Basis.Detail, "appendfsync always") {
			t.Errorf("%s: %+v, want %s", c.flag, got, c.want)
		}
	}
}
