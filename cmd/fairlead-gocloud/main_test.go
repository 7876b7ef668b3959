package main_test

import (
	"context"
	"errors"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"fairlead.dev"
	"fairlead.dev/conformance"
	"fairlead.dev/internal/dev/check"
	"fairlead.dev/internal/dev/testbed"
	"fairlead.dev/kv"
	"fairlead.dev/plugins"
	"fairlead.dev/pubsub"
)

// host builds and installs the plugin.
func host(t *testing.T) *plugins.Host {
	t.Helper()
	binary := filepath.Join(t.TempDir(), "fairlead-gocloud")
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-o", binary, ".").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	folder := t.TempDir()
	installed, err := plugins.Install(t.Context(), binary, folder)
	check.NoError(t, err)
	for _, want := range []string{"mem", "rabbit", "rabbits", "kafka", "awssns", "awssqs", "gcppubsub", "azuresb", "mongo", "dynamodb", "firestore", "etcd", "file"} {
		if _, offers := installed.Scheme("gocloud+" + want); !offers {
			t.Errorf("the plugin does not offer gocloud+%s", want)
		}
	}
	h, err := plugins.NewHost(plugins.WithFolders(folder))
	check.NoError(t, err)
	t.Cleanup(func() { check.NoError(t, h.Close(context.Background())) })
	return h
}

// TestConformance runs the suite over the plugin in its process.
func TestConformance(t *testing.T) {
	t.Parallel()
	h := host(t)
	conformance.Test(t, func(ctx context.Context) (fairlead.Provider, error) {
		return h.Open(ctx, "plugin+gocloud+mem://conformance")
	}, conformance.WithTransport("process"))
}

// TestPlugin: a host that links nothing of gocloud.dev reaches RabbitMQ. An error
// in a URL is reported before anything is started.
func TestPlugin(t *testing.T) {
	t.Parallel()
	h := host(t)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	_, err := h.Open(ctx, "plugin+gocloud+kafka://?topics=kafka://{topic}")
	if !errors.Is(err, fairlead.Invalid) || !strings.Contains(err.Error(), `"topics"`) {
		t.Errorf("a wrong parameter: %v", err)
	}

	rabbit, err := h.Open(ctx, "plugin+gocloud+rabbit://"+testbed.Rabbit(t).Addr())
	check.NoError(t, err)
	defer rabbit.Close(ctx)
	sub, err := pubsub.Subscribe(ctx, rabbit, "orders", pubsub.Group("g"))
	check.NoError(t, err)
	topic, err := pubsub.Open(ctx, rabbit, "orders")
	check.NoError(t, err)
	_, err = topic.Publish(ctx, pubsub.Message{ID: "one", Body: []byte("body"), Metadata: map[string]string{"Name": ""}})
	check.NoError(t, err)
	d, err := sub.Receive(ctx)
	check.NoError(t, err)
	if v, there := d.Metadata["Name"]; d.ID != "one" || string(d.Body) != "body" || v != "" || !there {
		t.Errorf("received %+v", d)
	}
	check.NoError(t, d.Ack(ctx))

	mem, err := h.Open(ctx, "plugin+gocloud+mem://name")
	check.NoError(t, err)
	defer mem.Close(ctx)
	store, err := kv.Open(ctx, mem, "users", kv.Require(kv.CAS))
	check.NoError(t, err)
	_, err = store.Create(ctx, "ann", []byte("1"))
	check.NoError(t, err)
	if _, err := store.Create(ctx, "ann", nil); !errors.Is(err, fairlead.Conflict) {
		t.Errorf("created twice: %v", err)
	}
}
