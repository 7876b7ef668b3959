package main

import (
	"encoding/json"
	"net/url"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"

	"fairlead.dev/internal/dev/check"
	"fairlead.dev/internal/dev/testbed"
	"fairlead.dev/providers"
)

// runDoctorOn runs the doctor twice, for people and for programs, and returns both
// results. What is printed fits 80 columns, and the server is as it was.
func runDoctorOn(t *testing.T, server testbed.ContentServer, wantCode int, args ...string) (found findings, printed string) {
	t.Helper()
	var before []string
	if server != nil {
		before = testbed.Content(t, server)
	}
	code, out, errs := runCommand(t, append([]string{"doctor"}, args...)...)
	if code != wantCode {
		t.Errorf("exit code %d, want %d; printed\n%s%s", code, wantCode, out, errs)
	}
	for line := range strings.Lines(out) {
		if n := len([]rune(strings.TrimRight(line, "\n"))); n > doctorWidth {
			t.Errorf("%d characters: %s", n, line)
		}
	}
	code, asJSON, errs := runCommand(t, append([]string{"doctor", "--json"}, args...)...)
	if code != wantCode {
		t.Errorf("exit code %d with --json, want %d\n%s", code, wantCode, errs)
	}
	check.NoError(t, json.Unmarshal([]byte(asJSON), &found))
	if server != nil {
		testbed.WantContent(t, server, before)
	}
	return found, out
}

// of returns the findings of one check.
func (all findings) of(check string) (some []providers.Finding) {
	for _, f := range all.Findings {
		if f.Check == check {
			some = append(some, f)
		}
	}
	return some
}

// wantFinding demands that a check has found what says each of texts, in one finding.
func wantFinding(t *testing.T, all findings, name string, status providers.CheckStatus, texts ...string) providers.Finding {
	t.Helper()
	for _, f := range all.of(name) {
		whole, fits := f.Subject+": "+f.Seen+" fix: "+f.Fix, f.Status == status
		for _, text := range texts {
			fits = fits && strings.Contains(whole, text)
		}
		if fits {
			return f
		}
	}
	t.Errorf("no finding of %s with the status %q says %q: %+v", name, status, texts, all.of(name))
	return providers.Finding{}
}

// wantNoProblem demands that nothing is wrong.
func wantNoProblem(t *testing.T, all findings) {
	t.Helper()
	for _, f := range all.Findings {
		if f.Status == providers.CheckProblem || f.Status == providers.CheckNotReached || f.Status != providers.CheckNotTold && f.Seen == "" {
			t.Errorf("%+v", f)
		}
	}
}

func TestDoctorOfAHealthyRedis(t *testing.T) {
	server := testbed.Redis(t)
	all, printed := runDoctorOn(t, server, exitOK, server.URL())
	wantNoProblem(t, all)
	if all.Warnings != 0 || !strings.HasSuffix(printed, "\n0 problems, 0 warnings\n") {
		t.Errorf("printed\n%s", printed)
	}
	names := []string{
		providers.CheckURL, providers.CheckName, providers.CheckDial, providers.CheckTLS, providers.CheckLogin, providers.CheckPermissions,
		providers.CheckClock, providers.CheckVersion, providers.CheckOpen, providers.CheckDurability, providers.CheckQuotas, providers.CheckEviction,
	}
	place := 0
	for _, f := range all.Findings {
		for place < len(names) && names[place] != f.Check {
			place++
		}
		if place == len(names) {
			t.Fatalf("%q is out of order in\n%s", f.Check, printed)
		}
	}
	wantFinding(t, all, providers.CheckDurability, providers.CheckOK, "DurableFsync holds (kv, pubsub)")
	wantFinding(t, all, providers.CheckVersion, providers.CheckOK, "Redis 7")
}

// redisPermissions are the rules of a user with the permissions that the documentation
// lists.
func redisPermissions(t *testing.T) string {
	t.Helper()
	page, err := os.ReadFile("../../docs/providers/redis.md")
	check.NoError(t, err)
	rules := "~fairlead:* +scan"
	for _, facet := range []string{"every facet", "kv, config", "pubsub", "rpc"} {
		_, row, ok := strings.Cut(string(page), "| "+facet+" | `")
		row, _, _ = strings.Cut(row, "`")
		if !ok {
			t.Fatalf("docs/providers/redis.md has no row for %s", facet)
		}
		rules += " " + strings.ReplaceAll(row, `\|`, "|")
	}
	return rules
}

// printedCommands returns the shell commands that the doctor has printed.
func printedCommands(printed string) (commands []string) {
	for line := range strings.Lines(strings.ReplaceAll(printed, "\\\n", "")) {
		if strings.HasPrefix(line, "    redis-cli ") {
			commands = append(commands, strings.TrimSpace(line))
		}
	}
	return commands
}

// TestDoctorNamesAllMissingPermissions takes rights of a user with the documented ones
// away. All of them are named at once, and the printed commands give them back.
func TestDoctorNamesAllMissingPermissions(t *testing.T) {
	server := testbed.Redis(t, testbed.RedisUser("app", "pw", redisPermissions(t)))
	admin := testbed.RedisClient(t, server)
	u := server.URLFor("app", "pw")
	all, _ := runDoctorOn(t, server, exitOK, u)
	wantNoProblem(t, all)
	if all.Warnings != 0 {
		t.Errorf("a user with the documented permissions is warned: %+v", all)
	}
	for _, taken := range [][]any{
		{"-set", "-hset", "-zadd"},
		{"-eval", "-xadd", "-xgroup|create"},        // seen in a transaction
		{"-multi", "-pttl", "-zadd", "-xreadgroup"}, // seen by a script
		{"-evalsha", "-multi", "-time"},             // which others cannot be seen
		{"resetkeys", "~other:*"},
		{"-multi", "resetkeys", "%R~fairlead:*", "-get"},
		{"-info", "-exists", "-scan", "-config|get"},
	} {
		check.NoError(t, admin.Do(t.Context(), append([]any{"acl", "setuser", "app"}, taken...)...).Err())
		all, printed := runDoctorOn(t, server, exitFailure, u)
		whole := ""
		for _, f := range all.of(providers.CheckPermissions) {
			whole += f.Seen + " " + f.Command + "\n"
		}
		for _, rule := range taken {
			name, isCommand := strings.CutPrefix(rule.(string), "-")
			if isCommand && !strings.Contains(whole, "+"+name) {
				t.Errorf("without %v: %s is not named in\n%s", taken, name, printed)
			}
			if !isCommand && !strings.Contains(whole, "~fairlead:*") {
				t.Errorf("without %v: the keys are not named in\n%s", taken, printed)
			}
		}
		for _, command := range printedCommands(printed) {
			if out, err := exec.CommandContext(t.Context(), "sh", "-c", command).CombinedOutput(); err != nil || !strings.Contains(string(out), "OK") {
				t.Fatalf("%s: %v\n%s", command, err, out)
			}
		}
		all, _ = runDoctorOn(t, server, exitOK, u)
		wantNoProblem(t, all)
		if all.Warnings != 0 {
			t.Errorf("after the commands: %+v", all)
		}
	}
	check.NoError(t, admin.Do(t.Context(), "acl", "setuser", "app", "-xgroup|create").Err())
	all, _ = runDoctorOn(t, server, exitOK, u, "--facet", "kv,rpc") // only pubsub needs it
	wantNoProblem(t, all)
}

func TestDoctorOfRedisInTrouble(t *testing.T) {
	server := testbed.Redis(t, testbed.RedisPassword("s3cret"))
	good := server.URLFor("", "s3cret")
	all, _ := runDoctorOn(t, server, exitFailure, server.URLFor("", "wr0ng"))
	wantFinding(t, all, providers.CheckLogin, providers.CheckProblem, "rejects", "correct the user and the password")
	wantFinding(t, all, providers.CheckDial, providers.CheckOK, server.Addr())
	wantFinding(t, all, providers.CheckEviction, providers.CheckNotReached, "login")

	c := testbed.RedisClient(t, server)
	check.NoError(t, c.ConfigSet(t.Context(), "appendfsync", "everysec").Err())
	all, _ = runDoctorOn(t, server, exitOK, good)
	wantFinding(t, all, providers.CheckDurability, providers.CheckWarning, "DurableFsync", "appendfsync is everysec", "CONFIG SET appendfsync always")

	check.NoError(t, server.Fill(t.Context()))
	all, _ = runDoctorOn(t, server, exitFailure, good)
	wantFinding(t, all, providers.CheckQuotas, providers.CheckProblem, "full", "raise maxmemory")
	for policy, status := range map[string]providers.CheckStatus{"allkeys-lru": providers.CheckProblem, "volatile-lru": providers.CheckWarning} {
		check.NoError(t, c.ConfigSet(t.Context(), "maxmemory", "100mb").Err())
		check.NoError(t, c.ConfigSet(t.Context(), "maxmemory-policy", policy).Err())
		code := exitOK
		if status == providers.CheckProblem {
			code = exitFailure
		}
		all, _ = runDoctorOn(t, server, code, good)
		wantFinding(t, all, providers.CheckEviction, status, policy, "CONFIG SET maxmemory-policy noeviction")
	}
	check.NoError(t, c.ConfigSet(t.Context(), "maxmemory", "0").Err())

	check.NoError(t, server.Pause(t.Context()))
	all, _ = runDoctorOn(t, nil, exitFailure, good+"?read-timeout=500ms")
	wantFinding(t, all, providers.CheckTLS, providers.CheckWarning, "does not answer")
	check.NoError(t, server.Continue(t.Context()))
}

func TestDoctorWithoutServer(t *testing.T) {
	closed := testbed.Redis(t)
	addr := closed.Addr()
	check.NoError(t, closed.Kill(t.Context()))
	for _, scheme := range []string{"redis", "etcd", "nats", "dapr"} {
		all, _ := runDoctorOn(t, nil, exitFailure, scheme+"://"+addr)
		wantFinding(t, all, providers.CheckDial, providers.CheckProblem, addr, "start the server")
		wantFinding(t, all, providers.CheckOpen, providers.CheckNotReached, "dial")
		all, _ = runDoctorOn(t, nil, exitFailure, scheme+"://host.invalid:1")
		wantFinding(t, all, providers.CheckName, providers.CheckProblem, "host.invalid", "correct the name")
	}
	for _, u := range []string{"redis://" + addr + "?password-env=FAIRLEAD_NOT_SET", "etcd://" + addr + "?ca-file=/nowhere", "nosuch://" + addr, "nats://"} {
		all, _ := runDoctorOn(t, nil, exitUsage, u)
		wantFinding(t, all, providers.CheckURL, providers.CheckProblem)
		wantFinding(t, all, providers.CheckDial, providers.CheckNotReached)
	}
	if code, _, errs := runCommand(t, "doctor", "mem://", "--facet", "kvs"); code != exitUsage || !strings.Contains(errs, "accepted: kv, pubsub, rpc, config") {
		t.Errorf("exit code %d: %s", code, errs)
	}
}

// TestDoctorOfSchemesWithoutChecks: it makes the checks that need no knowledge of the
// backend.
func TestDoctorOfSchemesWithoutChecks(t *testing.T) {
	all, _ := runDoctorOn(t, nil, exitOK, "mem://doctor")
	wantFinding(t, all, providers.CheckOpen, providers.CheckOK, "memory", "kv, pubsub, rpc")
	wantFinding(t, all, providers.CheckDurability, providers.CheckWarning, "DurableFsync", "redis://")
	wantFinding(t, all, providers.CheckPermissions, providers.CheckNotTold)
	all, _ = runDoctorOn(t, nil, exitOK, "broken://")
	wantFinding(t, all, providers.CheckOpen, providers.CheckOK)
}

// TestDoctorOfMixedTLS meets ports that speak TLS without it, and others with it.
func TestDoctorOfMixedTLS(t *testing.T) {
	secure := testbed.Redis(t, testbed.RedisTLS(true))
	plain := testbed.Redis(t)
	certs := secure.Certificates()
	files := url.Values{"ca-file": {certs.CA}, "cert-file": {certs.ClientCert}, "key-file": {certs.ClientKey}}
	without := func(names ...string) string {
		q := url.Values{}
		for name, value := range files {
			q[name] = value
		}
		for _, name := range names {
			q.Del(name)
		}
		return secure.URL() + "?" + q.Encode()
	}
	all, _ := runDoctorOn(t, nil, exitOK, without())
	wantFinding(t, all, providers.CheckTLS, providers.CheckWarning, "ends in 0 days", "localhost, 127.0.0.1", "renew") // the testbed's certificates
	wantNoProblem(t, all)
	for name, test := range map[string]struct {
		url   string
		texts []string
	}{
		"TLS met without":       {"redis://" + secure.Addr(), []string{"a TLS port met without TLS", "use rediss://"}},
		"plain met with TLS":    {"rediss://" + plain.Addr(), []string{"a plain port met with TLS", "use redis://"}},
		"unknown authority":     {without("ca-file"), []string{"no known authority", "testbed authority", "ca-file"}},
		"another name":          {without() + "&server-name=example.org", []string{"for localhost", "not for example.org", "server-name"}},
		"two faults":            {without("ca-file") + "&server-name=example.org", []string{"not for example.org", "no known authority"}},
		"no client certificate": {without("cert-file", "key-file"), []string{"client certificate", "cert-file"}},
	} {
		all, _ := runDoctorOn(t, nil, exitFailure, test.url)
		f := wantFinding(t, all, providers.CheckTLS, providers.CheckProblem, test.texts...)
		wantFinding(t, all, providers.CheckLogin, providers.CheckNotReached)
		t.Log(name, f)
	}
}

func TestDoctorHelp(t *testing.T) {
	_, out, _ := runCommand(t, "doctor", "--help")
	for _, want := range []string{"fairlead doctor redis://", "--facet", "--json", "exit code is 0"} {
		if !strings.Contains(out, want) {
			t.Errorf("the help does not say %q:\n%s", want, out)
		}
	}
}

// TestDoctorPage makes the situation whose output docs/doctor.md shows.
func TestDoctorPage(t *testing.T) {
	server := testbed.Redis(t, testbed.RedisConf("appendfsync everysec"), testbed.RedisUser("app", "pw", redisPermissions(t)+" -hset -set -zadd"))
	_, printed := runDoctorOn(t, server, exitFailure, server.URLFor("app", "pw"))
	page, err := os.ReadFile("../../docs/doctor.md")
	check.NoError(t, err)
	_, shown, _ := strings.Cut(string(page), "```\n$ fairlead doctor ")
	_, shown, _ = strings.Cut(shown, "\n")
	shown, _, ok := strings.Cut(shown, "```")
	if got, want := withoutNumbers(printed, server.Addr()), withoutNumbers(shown, "127.0.0.1:6379"); !ok || got != want {
		t.Errorf("docs/doctor.md shows\n%s\nthe command prints\n%s", want, printed)
	}
}

// withoutNumbers returns an output without what differs from run to run: the address,
// times, sizes and where lines end.
func withoutNumbers(out, addr string) string {
	_, port, _ := strings.Cut(addr, ":")
	out = strings.NewReplacer(addr, "ADDR", "-p "+port, "-p PORT", "\\\n", "\n").Replace(out)
	for _, varies := range []string{`connected in \S+`, `[0-9.]+ [KM]iB`, `[0-9.]+m?s (ahead of|behind) this`, `Redis 7\S+`} {
		out = regexp.MustCompile(varies).ReplaceAllString(out, "VARIES")
	}
	return strings.Join(strings.Fields(out), " ")
}
