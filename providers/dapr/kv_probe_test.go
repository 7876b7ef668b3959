package dapr_test

import (
	"strings"
	"testing"

	"fairlead.dev"
	"fairlead.dev/internal/dev/check"
	"fairlead.dev/internal/dev/testbed"
)

// TestUnsoundState: a component that breaks its guarantees is not used, and the
// description says why.
func TestUnsoundState(t *testing.T) {
	p := open(t, testbed.Dapr(t, testbed.DaprComponent("mystate", "state.careless", nil)).URL())
	d, err := p.Describe(t.Context())
	check.NoError(t, err)
	if f, offered := d.Facet(fairlead.KV); offered {
		t.Errorf("the kv facet is offered: %v", f.Claims)
	}
	notes := strings.Join(d.Notes, "\n")
	if !strings.Contains(notes, "kv is not offered") || !strings.Contains(notes, "mystate") || !strings.Contains(notes, "overwrites") {
		t.Errorf("the notes do not say why: %s", notes)
	}
}

// TestProbeLeavesNothing: the key of the check is removed.
func TestProbeLeavesNothing(t *testing.T) {
	redis := testbed.Redis(t)
	open(t, testbed.Dapr(t, testbed.DaprRedis(redis.Addr())).URL()+"?pubsub=-")
	keys, err := testbed.RedisClient(t, redis).Keys(t.Context(), "*probe*").Result()
	check.NoError(t, err)
	if len(keys) > 0 {
		t.Errorf("the check left the keys %q", keys)
	}
}
