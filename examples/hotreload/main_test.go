package main

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"go.uber.org/goleak"

	"fairlead.dev"
	"fairlead.dev/config"
	"fairlead.dev/internal/dev/testbed"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// running is the service under test.
type running struct {
	url string
	log *logged
}

type logged struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *logged) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(b)
}

func (l *logged) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

func start(t *testing.T, url string) running {
	t.Helper()
	var level slog.LevelVar
	log := &logged{}
	a, err := newApp(t.Context(), url, slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: &level})), &level)
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(a.handler())
	t.Cleanup(func() {
		server.Close()
		http.DefaultClient.CloseIdleConnections()
		if err := a.close(); err != nil {
			t.Error(err)
		}
	})
	return running{server.URL, log}
}

func (r running) call(t *testing.T, method, path, body, token string) (status int, text string) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, r.url+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if token != "" {
		request.Header.Set("Authorization", "Bearer "+token)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	all, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, string(all)
}

func (r running) get(t *testing.T, path string) (status int, text string) {
	t.Helper()
	return r.call(t, "GET", path, "", "")
}

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%s: not within 20 s", what)
		}
	}
}

// keys has all settings, by key.
type keys map[string]string

// The origins of settings, each with the way an operator changes them there.
var places = map[string]func(t *testing.T) (url string, change func(*testing.T, running, keys)){
	"memory": func(*testing.T) (string, func(*testing.T, running, keys)) { return "mem://", changeOverHTTP },
	"redis":  func(t *testing.T) (string, func(*testing.T, running, keys)) { return elsewhere(testbed.Redis(t).URL()) },
	"etcd":   func(t *testing.T) (string, func(*testing.T, running, keys)) { return elsewhere(testbed.Etcd(t).URL()) },
	"nats":   func(t *testing.T) (string, func(*testing.T, running, keys)) { return elsewhere(testbed.NATS(t).URL()) },
	"dapr": func(t *testing.T) (string, func(*testing.T, running, keys)) {
		redis := testbed.Redis(t)
		client := testbed.RedisClient(t, redis)
		return testbed.Dapr(t, testbed.DaprRedis(redis.Addr())).URL(), func(t *testing.T, _ running, k keys) { changeBehind(t, client, k) }
	},
	"file": func(t *testing.T) (string, func(*testing.T, running, keys)) {
		path := filepath.Join(t.TempDir(), "shop.yaml")
		write(t, path, nil)
		return "file:" + path, func(t *testing.T, _ running, k keys) { write(t, path, k) }
	},
}

func changeOverHTTP(t *testing.T, r running, k keys) {
	for key, value := range k {
		if status, text := r.call(t, "PUT", "/settings/"+key, value, ""); status != http.StatusOK {
			t.Fatalf("PUT of %s: %d %s", key, status, text)
		}
	}
}

func elsewhere(url string) (string, func(*testing.T, running, keys)) {
	return url, func(t *testing.T, _ running, k keys) { changeElsewhere(t, url, k) }
}

// changeElsewhere changes the settings as another process does.
func changeElsewhere(t *testing.T, url string, k keys) {
	p, err := fairlead.Open(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close(t.Context())
	s, err := config.Open(t.Context(), p, name, config.Require(config.AtomicSet))
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close(t.Context())
	var changes []config.Change
	for key, value := range k {
		changes = append(changes, config.Put(key, []byte(value)))
	}
	if _, err := s.Set(t.Context(), changes...); err != nil {
		t.Fatal(err)
	}
}

// changeBehind changes, in the component's backend, the settings that a sidecar
// reads and cannot write.
func changeBehind(t *testing.T, client *redis.Client, k keys) {
	var pairs []string
	for key, value := range k {
		pairs = append(pairs, name+"/"+key, value)
	}
	if err := client.MSet(t.Context(), pairs).Err(); err != nil {
		t.Fatal(err)
	}
}

// write writes a file as an editor does: it writes another file and renames it.
func write(t *testing.T, path string, k keys) {
	text := "log-level: " + orDefault(k["log-level"], "info") + "\nlimits: {rate: " + orDefault(k["limits/rate"], "10") + "}\n"
	if err := os.WriteFile(path+"~", []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(path+"~", path); err != nil {
		t.Fatal(err)
	}
}

func orDefault(value, byDefault string) string {
	if value == "" {
		return byDefault
	}
	return value
}

// The same service, and only the URL differs: the log level and the rate limit
// change while it runs, and a bad change does not.
func TestHotReload(t *testing.T) {
	for place, open := range places {
		t.Run(place, func(t *testing.T) {
			url, change := open(t)
			r := start(t, url)
			if status, text := r.get(t, "/"); status != http.StatusOK || text != "hello\n" {
				t.Fatalf("at first: %d %s", status, text)
			}
			if strings.Contains(r.log.String(), "msg=request") {
				t.Errorf("a request was logged at the level info:\n%s", r.log)
			}
			change(t, r, keys{"log-level": "debug", "limits/rate": "0"})
			eventually(t, "the limit of 0", func() bool { status, _ := r.get(t, "/"); return status == http.StatusTooManyRequests })
			change(t, r, keys{"log-level": "debug", "limits/rate": "100000"})
			eventually(t, "the high limit", func() bool { status, _ := r.get(t, "/"); return status == http.StatusOK })
			eventually(t, "the log of a request", func() bool { r.get(t, "/"); return strings.Contains(r.log.String(), "msg=request") })

			change(t, r, keys{"log-level": "debug", "limits/rate": "-5"})
			eventually(t, "the report", func() bool { return strings.Contains(r.log.String(), "limits.rate is negative") })
			_, text := r.get(t, "/settings")
			if !strings.Contains(text, "limits.rate = 100000, from ") || !strings.Contains(text, "; -5 from ") || !strings.Contains(text, "wrong: ") {
				t.Errorf("after a bad change:\n%s", text)
			}
			if status, _ := r.get(t, "/"); status != http.StatusOK {
				t.Errorf("after a bad change: %d", status)
			}
			change(t, r, keys{"log-level": "warn", "limits/rate": "10"})
			eventually(t, "recovery", func() bool { _, text := r.get(t, "/settings"); return !strings.Contains(text, "wrong") })
		})
	}
}

// Once it is set, the token protects the settings, and is never shown.
func TestToken(t *testing.T) {
	r := start(t, "mem://")
	changeOverHTTP(t, r, keys{"api-token": "hunter2"})
	eventually(t, "the token", func() bool {
		status, _ := r.call(t, "PUT", "/settings/x", "", "")
		return status == http.StatusUnauthorized
	})
	if status, text := r.call(t, "PUT", "/settings/limits/rate", "7", "hunter2"); status != http.StatusOK {
		t.Errorf("with the token: %d %s", status, text)
	}
	eventually(t, "the change", func() bool {
		_, text := r.get(t, "/settings")
		return strings.Contains(text, "limits.rate = 7, from memory")
	})
	_, text := r.get(t, "/settings")
	if all := text + r.log.String(); strings.Contains(all, "hunter2") || !strings.Contains(all, config.Redacted) {
		t.Errorf("the token is shown:\n%s", all)
	}
}

func TestRefusals(t *testing.T) {
	_, err := newApp(t.Context(), "file:/none/shop.yaml", slog.Default(), &slog.LevelVar{})
	if fairlead.CodeOf(err) != fairlead.Unavailable {
		t.Errorf("a missing file: %v", err)
	}
	if err := run(t.Context(), []string{"--settings", "nosuch://"}); fairlead.CodeOf(err) != fairlead.Invalid {
		t.Errorf("an unknown scheme: %v", err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if err := run(ctx, []string{"--listen", "127.0.0.1:0"}); err != nil {
		t.Errorf("the end of a run: %v", err)
	}
	path := filepath.Join(t.TempDir(), "shop.yaml")
	write(t, path, nil)
	if status, text := start(t, "file:"+path).call(t, "PUT", "/settings/x", "", ""); status != http.StatusMethodNotAllowed || !strings.Contains(text, "edit the file") {
		t.Errorf("changing a file: %d %s", status, text)
	}
}
