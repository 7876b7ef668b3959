package main

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"fairlead.dev"
	"fairlead.dev/config"
	"fairlead.dev/conformance"
	"fairlead.dev/internal/dev/testbed"
	"fairlead.dev/kv"
	"fairlead.dev/kv/lock"
	"fairlead.dev/pubsub"
	"fairlead.dev/rpc"
)

var contentServers = map[string]func(*testing.T) testbed.ContentServer{
	"redis": func(t *testing.T) testbed.ContentServer { return testbed.Redis(t) },
	"etcd":  func(t *testing.T) testbed.ContentServer { return testbed.Etcd(t) },
	"nats":  func(t *testing.T) testbed.ContentServer { return testbed.NATS(t) },
}

// casesOfNames makes every kind of name: stores with and without times to live,
// topics, groups, broadcasts, dead letters, ordering keys, services, settings.
const casesOfNames = "^(kv/(put-get|ttl-longest|ttl-replaced|stores-listed|canceled-before)|config/(set-get|delete)|open/second|" +
	"pubsub/(broadcast|dead-letter|dead-letter-key|group-fanout|key-one|key-many|dedupe|manage-delete-topic)|rpc/(unary|directory-watch|server-gone|load-balance))$"

// TestRunLeavesTheBackendAsItWas compares all that a backend holds before and after a
// run, a run that is interrupted, and processes that are killed, followed by "clean".
// What others keep there stays.
func TestRunLeavesTheBackendAsItWas(t *testing.T) {
	for name, start := range contentServers {
		t.Run(name, func(t *testing.T) {
			server := start(t)
			t.Run("others", func(t *testing.T) { makeNames(t.Context(), t, server.URL(), "users-") })
			before := testbed.Content(t, server)
			t.Run("whole", func(t *testing.T) {
				code, stdout, stderr := runCommand(t, "conformance", server.URL(), "--run", casesOfNames)
				if code != exitOK {
					t.Errorf("exit code %d\n%s%s", code, stdout, stderr)
				}
				testbed.WantContent(t, server, before)
			})
			t.Run("interrupted", func(t *testing.T) {
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				var errs bytes.Buffer
				run(ctx, []string{"conformance", server.URL(), "--run", casesOfNames}, &cancelAfter{lines: 4, cancel: cancel}, &errs)
				if !strings.Contains(errs.String(), "interrupted after") {
					t.Errorf("printed %s", errs.String())
				}
				testbed.WantContent(t, server, before)
			})
			t.Run("killed", func(t *testing.T) {
				killAfterLine(t, commandVar+"=conformance "+server.URL()+" --run "+casesOfNames, "[4/")
				killAfterLine(t, makeNamesVar+"="+server.URL(), "made")
				if slices.Equal(testbed.Content(t, server), before) {
					t.Error("the killed processes left nothing")
				}
				code, stdout, stderr := runCommand(t, "conformance", "clean", server.URL())
				if code != exitOK || !strings.Contains(stdout, "removed kv "+conformance.Prefix+"store") {
					t.Errorf("exit code %d\n%s%s", code, stdout, stderr)
				}
				testbed.WantContent(t, server, before)
			})
		})
	}
}

// The environment variables with which the test's own binary runs the command, or
// makes names on the backend with a URL.
const (
	commandVar   = "FAIRLEAD_TEST_COMMAND"
	makeNamesVar = "FAIRLEAD_TEST_MAKE_NAMES"
)

// killAfterLine runs the test's own binary with an environment variable, and kills it
// when it has printed a line that begins with a text.
func killAfterLine(t *testing.T, variable, text string) {
	t.Helper()
	cmd := exec.Command(os.Args[0], "-test.run=^TestMakeNames$")
	cmd.Env = append(os.Environ(), variable)
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	defer time.AfterFunc(time.Minute, func() { _ = cmd.Process.Kill() }).Stop()
	printed := false
	for scanner := bufio.NewScanner(out); !printed && scanner.Scan(); {
		printed = strings.HasPrefix(scanner.Text(), text)
	}
	if !printed {
		t.Errorf("the process ended before it had printed %q", text)
	}
	_ = cmd.Process.Kill()
	_ = cmd.Wait() // reports the kill
}

// TestMakeNames is the process that TestRunLeavesTheBackendAsItWas kills. By itself,
// it shows that makeNames works.
func TestMakeNames(t *testing.T) {
	url := os.Getenv(makeNamesVar)
	if url == "" {
		makeNames(t.Context(), t, "mem://", conformance.Prefix)
		return
	}
	makeNames(context.Background(), t, url, conformance.Prefix)
	_, _ = io.WriteString(os.Stdout, "made\n")
	select {} // until it is killed
}

// makeNames makes one name of each kind. What it opens stays open until the test ends;
// a server stays registered as long.
func makeNames(ctx context.Context, t *testing.T, url, prefix string) {
	t.Helper()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	p, err := fairlead.Open(ctx, url)
	must(err)
	t.Cleanup(func() { must(p.Close(context.Background())) })
	store, err := kv.Open(ctx, p, prefix+"store")
	must(err)
	for range 2 { // the first lease has no key any more
		_, err = store.Put(ctx, "k", []byte("v"), kv.WithTTL(24*time.Hour))
		must(err)
	}
	settings, err := config.Open(ctx, p, prefix+"settings")
	must(err)
	_, err = settings.Set(ctx, config.Put("k", []byte("v")))
	must(err)
	topic, err := pubsub.Open(ctx, p, prefix+"topic")
	must(err)
	group, err := pubsub.Subscribe(ctx, p, prefix+"topic", pubsub.Group("workers"))
	must(err)
	for _, key := range []string{"", "key"} {
		_, err = topic.Publish(ctx, pubsub.Message{Body: []byte("m"), Key: key})
		must(err)
	}
	if prefix != conformance.Prefix {
		return // what follows makes keys that end or change by themselves
	}
	for range 2 {
		_, err = group.Receive(ctx)
		must(err)
	}
	mutex, err := lock.New(store, "lock")
	must(err)
	_, err = mutex.TryLock(ctx)
	must(err)
	_, err = pubsub.Subscribe(ctx, p, prefix+"topic", pubsub.WithoutGroup())
	must(err)
	server, err := rpc.NewServer(ctx, p, prefix+"service")
	must(err)
	must(server.Listen(ctx))
}
