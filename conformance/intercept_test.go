package conformance

import (
	"context"
	"slices"
	"sync"
	"testing"

	"fairlead.dev"
	"fairlead.dev/conformance/internal/intercept"
)

// TestIntercepted runs the quick profile with hooks around every call. The same cases
// run as without hooks, and the hooks see every kind of call.
func TestIntercepted(t *testing.T) {
	t.Parallel() // most cases spend their time waiting
	var mu sync.Mutex
	seen := map[string]int{}
	after := func(c *intercept.Call, _ any, _ error) {
		mu.Lock()
		defer mu.Unlock()
		seen[c.Op]++
	}
	m := &clockedMemory{}
	r, err := Run(t.Context(), intercept.Opener(m.open, intercept.Hooks{After: after}), WithProfile(Quick))
	if err != nil {
		t.Fatal(err)
	}
	wantConforms(t, r)
	if n := r.Count(NotRun); n != notRunOfMemory(t) {
		t.Errorf("%d cases were not run, %d without hooks", n, notRunOfMemory(t))
	}
	directory := func(ctx context.Context) (fairlead.Provider, error) {
		return fairlead.Open(ctx, "mem://clocked?rpc=directory")
	}
	r, err = Run(t.Context(), intercept.Opener(directory, intercept.Hooks{After: after}), WithProfile(Quick), WithFacets(fairlead.RPC))
	if err != nil {
		t.Fatal(err)
	}
	wantConforms(t, r)
	want := []string{
		"open.Open", "open.Close",
		"kv.OpenStore", "kv.Stores", "kv.DeleteStore", "kv.Do", "kv.Txn", "kv.List", "kv.Watch", "kv.Close", "kv.Watcher.Next", "kv.Watcher.Close",
		"pubsub.OpenTopic", "pubsub.OpenSubscription", "pubsub.Topics", "pubsub.DeleteTopic", "pubsub.DeleteGroup",
		"pubsub.Send", "pubsub.Receive", "pubsub.Settle", "pubsub.Topic.Close", "pubsub.Subscription.Close",
		"rpc.Listen", "rpc.OpenStream", "rpc.NextListener", "rpc.Accept", "rpc.Listener.Close", "rpc.Send", "rpc.Recv", "rpc.Stream.Close",
		"rpc.Register", "rpc.WatchEndpoints", "rpc.Keep", "rpc.Registration.Close", "rpc.Endpoints.Next", "rpc.Endpoints.Close",
	}
	for _, op := range want {
		if seen[op] == 0 {
			t.Errorf("no call of %s was seen", op)
		}
	}
	for op := range seen {
		if !slices.Contains(want, op) {
			t.Errorf("%s was seen, and is not in the list", op)
		}
	}
}

// notRunOfMemory is how many cases of the quick profile do not apply to memory.
func notRunOfMemory(t *testing.T) int {
	p, err := (&clockedMemory{}).open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close(t.Context())
	r := &run{options: newOptions([]Option{WithProfile(Quick)})}
	if r.description, err = p.Describe(t.Context()); err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, c := range allCases() {
		if r.reasonNotToRun(c) != "" {
			n++
		}
	}
	return n
}
