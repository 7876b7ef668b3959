package main

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"fairlead.dev"
	"fairlead.dev/config"
	"fairlead.dev/internal/dev/check"
	"fairlead.dev/internal/dev/testbed"
)

// versionIn returns the version of a key that "config get --json" prints.
func versionIn(t *testing.T, text, key string) string {
	t.Helper()
	var all []setting
	if err := json.Unmarshal([]byte(text), &all); err != nil {
		t.Fatalf("%v in %s", err, text)
	}
	for _, s := range all {
		if s.Key == key {
			return s.Version
		}
	}
	t.Fatalf("no key %q in %s", key, text)
	return ""
}

// TestConfigLife is what operators do to settings.
func TestConfigLife(t *testing.T) {
	on := " " + testbed.Redis(t).URL() + " --name shop "
	want(t, exitOK, "config set"+on+"limits/rate=50 log-level=debug note=", "limits/rate: 50 (version ", "was not set", `note: "" (`)
	if out := want(t, exitOK, "config get"+on+"limits/rate"); out != "50\n" {
		t.Errorf("the bare value is printed as %q", out)
	}
	want(t, exitOK, "config get"+on, "limits/rate", "log-level", `""`)
	want(t, exitOK, "config set"+on+"--delete note --delete never", "note: not set, was \"\"")
	want(t, exitFailure, "config get"+on+"note", `there is no setting "note" under "shop"`)

	// Two operators read the same version; the second one is told of the first change.
	first := versionIn(t, want(t, exitOK, "config get"+on+"--json"), "limits/rate")
	want(t, exitOK, "config set"+on+"limits/rate=60 --if limits/rate="+first, "was 50")
	want(t, exitFailure, "config set"+on+"log-level=warn limits/rate=70 --if limits/rate="+first, "conflict", "nothing was changed", "config get")
	want(t, exitFailure, "config set"+on+"limits/rate=70 --if-absent limits/rate", "conflict")
	want(t, exitOK, "config get"+on+"log-level", "debug")
	want(t, exitOK, "config set"+on+"limits/rate=70 --force --json", `"value": "70"`)
	want(t, exitOK, "config set"+on+"new=1 --if-absent new", "was not set")
}

// TestConfigRepair replaces a value that another program wrote, which no command can
// read.
func TestConfigRepair(t *testing.T) {
	server := testbed.Redis(t)
	on := " " + server.URL() + " --name shop "
	want(t, exitOK, "config set"+on+"rate=50")
	err := testbed.RedisClient(t, server).Set(t.Context(), "fairlead:kv:{shop}:k:rate", "foreign", 0).Err()
	check.NoError(t, err)
	want(t, exitFailure, "config set"+on+"rate=60", `the key "rate"`, "--force")
	want(t, exitOK, "config set"+on+"rate=60 --force", "rate: 60")
	want(t, exitOK, "config get"+on+"rate", "60")
}

func TestConfigSecrets(t *testing.T) {
	on := " " + testbed.Redis(t).URL() + " --name shop "
	path := filepath.Join(t.TempDir(), "password")
	if err := os.WriteFile(path, []byte("hunter2"), 0o600); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "app.yaml")
	if err := os.WriteFile(file, []byte("db: {password: hunter3}"), 0o600); err != nil {
		t.Fatal(err)
	}
	want(t, exitOK, "config set"+on+"--file db/password="+path, "db/password: [secret]")
	for args, says := range map[string]string{
		"get" + on + "db/password":                      "--reveal prints the value",
		"get" + on + "--json":                           `"[secret]"`,
		"watch" + on + "--json":                         `"[secret]"`,
		"diff" + on + "file:" + file:                    "[secret]",
		"explain" + on + "file:" + file + " --json":     `"[secret]"`,
		"explain" + on + "env:HOME_ --key DB.Pass_Word": "[secret]",
	} {
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second) // the deadline ends the watch
		var out bytes.Buffer
		run(ctx, strings.Fields("config "+args), &out, &out)
		cancel()
		if !strings.Contains(out.String(), says) || strings.Contains(out.String(), "hunter") {
			t.Errorf("%s prints\n%s", args, out.String())
		}
	}
	if out := want(t, exitOK, "config get"+on+"db/password --reveal"); out != "hunter2\n" {
		t.Errorf("revealed: %q", out)
	}
	want(t, exitOK, "config explain"+on+"--reveal", "hunter2")
	want(t, exitFailure, "config diff"+on+"--reveal file:"+file, "hunter2", "hunter3")
}

func TestConfigDiffAndExplain(t *testing.T) {
	url := testbed.Redis(t).URL()
	file := filepath.Join(t.TempDir(), "app.toml")
	if err := os.WriteFile(file, []byte("log_level = \"info\"\n[limits]\nrate = 5\nburst = 2\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	want(t, exitOK, "config set "+url+" -n shop limits/rate=5 log-level=info")
	want(t, exitFailure, "config diff "+url+" file:"+file+" -n shop", "limits.burst", "not set", "1 keys differ")
	want(t, exitOK, "config set "+url+" -n shop limits.burst=2")
	if out := want(t, exitOK, "config diff "+url+" file:"+file+" -n shop"); out != "" {
		t.Errorf("the same settings: printed %q", out)
	}
	want(t, exitFailure, "config diff "+url+" "+url+" -n shop --other-name other --json", `"right": null`, "3 keys differ")
	t.Setenv("SHOP_LIMITS__RATE", "7")
	out := want(t, exitOK, "config explain file:"+file+" "+url+" env:SHOP_ -n shop --key limits", "limits.rate", "7", "environment SHOP_", "limits.burst")
	if strings.Contains(out, "log") || !strings.Contains(out, `5 (redis "shop")`) {
		t.Errorf("explained\n%s", out)
	}
}

// Settings that no reader accepts are not stored.
func TestConfigSetRefusesClashes(t *testing.T) {
	on := " " + testbed.Redis(t).URL() + " --name shop "
	const says = "exclude each other"
	want(t, exitUsage, "config set"+on+"a.b=1 a/b=2", says, `"a.b"`, `"a/b"`)
	want(t, exitOK, "config set"+on+"a.b=1 other=2")
	for _, args := range []string{"a/b=2", "a=2", "a/b/c=2", "a.b.c=2", "a/b=2 --force"} {
		want(t, exitUsage, "config set"+on+args, says, "--delete a.b")
	}
	want(t, exitOK, "config set"+on+"a/b=2 --delete a.b")
	want(t, exitOK, "config set"+on+"a/bc=2 a/b=3 ab=4")
	want(t, exitOK, "config explain"+strings.Replace(on, "--name", "-n", 1), "a.b", "a.bc")
}

// "get" reads a file and the environment as "explain" and "diff" do.
func TestConfigGetOfLayers(t *testing.T) {
	file := filepath.Join(t.TempDir(), "app.json")
	if err := os.WriteFile(file, []byte(`{"limits": {"rate": 9007199254740993, "burst": 2}, "hosts": {"a.example": 1}, "db": {"password": "hunter2"}}`), 0o600); err != nil {
		t.Fatal(err)
	}
	out := want(t, exitOK, "config get file:"+file, "limits.rate", "9007199254740993", "limits.burst", "hosts.a.example", "[secret]")
	if strings.Contains(out, "hunter2") {
		t.Errorf("got\n%s", out)
	}
	for args, value := range map[string]string{"limits/rate": "9007199254740993", "hosts.a.example": "1", "db.password --reveal": "hunter2"} {
		if out := want(t, exitOK, "config get file:"+file+" "+args); out != value+"\n" {
			t.Errorf("%s is printed as %q", args, out)
		}
	}
	want(t, exitOK, "config get --json file:"+file+" limits", `"key": "limits.burst"`, `"value": "2"`)
	want(t, exitUsage, "config get file:"+file+" none", `no layer has the key "none"`)
	want(t, exitFailure, "config get file:"+file+".yaml", "no such file")
	t.Setenv("SHOPGET_LIMITS__RATE", "7")
	want(t, exitOK, "config get env:SHOPGET_", "limits.rate", "7")
	for _, command := range []string{"set", "watch"} {
		want(t, exitUsage, "config "+command+" file:"+file+" a=1", "needs the URL of a backend", "config explain")
	}
}

// Unless it is told otherwise, a change depends on what the command has read.
func TestConfigSetDependsOnWhatWasRead(t *testing.T) {
	before := config.State{Values: map[string]config.Value{"k": {Version: "v1"}}}
	cas := fairlead.FacetDescription{Claims: []fairlead.Claim{config.CompareAndSet}}
	for name, c := range map[string]struct {
		flags    setFlags
		change   change
		demanded map[string]string
		facet    fairlead.FacetDescription
		want     config.Change
	}{
		"existing":                   {change: change{key: "k"}, facet: cas, want: config.PutIf("k", nil, "v1")},
		"missing":                    {change: change{key: "m"}, facet: cas, want: config.Create("m", nil)},
		"deleted":                    {change: change{key: "k", delete: true}, facet: cas, want: config.DeleteIf("k", "v1")},
		"deleted, and missing":       {change: change{key: "m", delete: true}, facet: cas, want: config.Delete("m")},
		"demanded":                   {change: change{key: "k"}, demanded: map[string]string{"k": "v0"}, facet: cas, want: config.PutIf("k", nil, "v0")},
		"demanded without the claim": {change: change{key: "k"}, demanded: map[string]string{"k": "v0"}, want: config.PutIf("k", nil, "v0")},
		"forced":                     {flags: setFlags{force: true}, change: change{key: "k"}, facet: cas, want: config.Put("k", nil)},
		"not claimed":                {change: change{key: "k"}, want: config.Put("k", nil)},
	} {
		if got := c.flags.withCondition(c.change, before, c.demanded, c.facet); !reflect.DeepEqual(got, c.want) {
			t.Errorf("%s: got %+v, want %+v", name, got, c.want)
		}
	}
}

// lineWaiter lets a test wait for what is printed.
type lineWaiter struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *lineWaiter) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(b)
}

func (l *lineWaiter) await(t *testing.T, says string) {
	t.Helper()
	for end := time.Now().Add(30 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		l.mu.Lock()
		text := l.text.String()
		l.mu.Unlock()
		if strings.Contains(text, says) {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("%q was not printed:\n%s", says, text)
		}
	}
}

// TestConfigWatch follows settings over a restart of the server.
func TestConfigWatch(t *testing.T) {
	server := testbed.Redis(t)
	want(t, exitOK, "config set "+server.URL()+" -n shop a=1 b=2")
	var printed lineWaiter
	code := make(chan int)
	go func() {
		code <- run(t.Context(), strings.Fields("config watch "+server.URL()+" -n shop a --changes 3"), &printed, &printed)
	}()
	printed.await(t, "a: 1 (version ")
	want(t, exitOK, "config set "+server.URL()+" -n shop b=3 a=two")
	printed.await(t, "a: two (version ")
	if err := server.Kill(t.Context()); err != nil {
		t.Fatal(err)
	}
	printed.await(t, "waiting: ")
	if err := server.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	want(t, exitOK, "config set "+server.URL()+" -n shop --delete a")
	printed.await(t, "the settings can be read again")
	printed.await(t, "a: not set")
	want(t, exitOK, "config set "+server.URL()+" -n shop b=9 a=")
	if got := <-code; got != exitOK || strings.Contains(printed.text.String(), "b:") {
		t.Errorf("exit code %d, printed\n%s", got, printed.text.String())
	}
}

func TestConfigUsage(t *testing.T) {
	for args, says := range map[string]string{
		"config":                                          "one of diff, explain, get, set, watch",
		"config get --name x":                             "takes a URL; for example: ",
		"config get mem://":                               "needs --name NAME",
		"config set mem:// a=1":                           "needs --name NAME",
		"config watch mem://":                             "for example: fairlead config watch redis://",
		"config diff mem:// file:app.yaml":                "needs --name NAME",
		"config get mem:// --name a/b":                    "A–Z a–z 0–9",
		"config set mem:// --name x":                      "there is nothing to change",
		"config set mem:// --name x a":                    `argument 1 after the URL has no =`,
		"config set mem:// --name x =1":                   "the key is empty",
		"config set mem:// --name x a=1 a=2":              "changed twice",
		"config set mem:// --name x --file a":             "KEY=PATH",
		"config set mem:// --name x a=1 --if a":           "KEY=VERSION",
		"config set mem:// --name x a=1 --if b=1":         `the key "b", which is not changed`,
		"config set mem:// --name x a=1 --if a=1 --force": "force if",
		"config diff mem://":                              "takes two URLs, got 1",
		"config diff mem:// file:app.ini -n x":            "accepted: .yaml",
		"config explain mem://":                           "needs --name NAME",
		"config explain app.yaml":                         "is not the URL of a layer",
	} {
		want(t, exitUsage, args, says)
	}
	want(t, exitFailure, "config get redis://127.0.0.1:1 --name x", "unavailable")
	want(t, exitFailure, "config set mem:// --name x --file a=/none/such", "no such file")
}

// A value that is no text is printed as base64.
func TestSettingOfBytes(t *testing.T) {
	var f settingsFlags
	if s := f.setting("k", config.Value{Data: []byte("\xff\x00"), Version: "a \xff"}); s.Value != "/wA=" || !s.Base64 || s.Version != "a+%FF" {
		t.Errorf("got %+v", s)
	}
	if v, err := parseVersion("a+%FF"); v != "a \xff" || err != nil {
		t.Errorf("got %q, %v", v, err)
	}
}
