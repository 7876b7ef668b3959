package dapr_test

import (
	"context"
	"regexp"
	"testing"
	"time"

	"fairlead.dev"
	"fairlead.dev/conformance"
	"fairlead.dev/internal/dev/check"
	"fairlead.dev/internal/dev/testbed"
)

// lies are guarantees that Dapr's components state or suggest and do not keep,
// each with the case of the suite that detects it.
var lies = []struct {
	lie    string
	facet  fairlead.FacetDescription
	memory bool
	caught string
}{
	{"an etag of state.redis is a compare-and-set: an etag of a deleted key still holds", naiveKV, false, "kv/cas-deleted"},
	{"an etag names one state: state.redis counts from 1 again after a delete", naiveKV, false, "kv/cas-recreated"},
	{"first-write finds every key: state.redis overlooks one that was last written last-write", naiveKV, false, "kv/create-exists"},
	{"a write replaces a time to live: state.redis keeps the earlier one", naiveKV, false, "kv/ttl-overwrite-clears"},
	{"state.redis is transactional: the operations before one that fails are applied", naiveKV, false, "kv/txn-stale"},
	{"RETRY gives a message back: pubsub.redis acknowledges it", naivePubSub, false, "pubsub/nack-redeliver"},
	{"a subscription begins where it is made: pubsub.redis begins with the oldest message", naivePubSub, false, "pubsub/late-group"},
	{"a bulk publication keeps its order: the runtime publishes its messages side by side", naivePubSub, false, "pubsub/ordered-batch"},
	{"a publication has metadata: none reaches a streaming subscription", naivePubSub, false, "pubsub/roundtrip"},
	{"subscribers of one app share messages: pubsub.in-memory gives each of them all", naivePubSub, true, "pubsub/group-compete-handlers"},
	{"what was published is stored: pubsub.in-memory waits for the answers of its subscribers", naivePubSub, true, "pubsub/group-kept"},
}

// TestLies runs the suite on a provider that relies on all of them.
func TestLies(t *testing.T) {
	t.Parallel()
	consumers := []string{"a", "a", "b", "b", "c", "c"}
	redis := testbed.Dapr(t, broker(testbed.Redis(t).Addr(), consumers...)...).URL() + "?pubsub=a"
	memory := testbed.Dapr(t, testbed.DaprInMemory()).URL()
	for _, l := range lies {
		t.Run(l.caught, func(t *testing.T) {
			t.Parallel()
			url, components := redis, []string{"a", "b", "c"}
			if l.memory {
				url, components = memory, []string{testbed.DaprPubSub}
			}
			wantCaught(t, l.lie, l.caught, func(context.Context) (fairlead.Provider, error) {
				return newNaive(t, url, l.facet, components...), nil
			})
		})
	}
}

// wantCaught demands that a case fails, by an assertion.
func wantCaught(t *testing.T, lie, name string, open conformance.Opener) {
	t.Helper()
	report, err := conformance.Run(t.Context(), open, conformance.WithPatience(2*time.Second),
		conformance.WithMatch(regexp.MustCompile("^"+name+"$")))
	check.NoError(t, err)
	for _, res := range report.Results {
		if res.Case == name && res.Ran() {
			if res.Outcome != conformance.Failed {
				t.Errorf("%s: the case %s did not detect it: %s %s", lie, name, res.Outcome, res.Failures)
			}
			t.Logf("%s: %q", lie, res.Failures)
			return
		}
	}
	t.Fatalf("%s was not run", name)
}
