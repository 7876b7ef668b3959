//go:build torture

package mutants

import (
	"context"
	"flag"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"fairlead.dev"
	"fairlead.dev/conformance"
	"fairlead.dev/conformance/internal/intercept"
)

var latency = flag.Duration("latency", 300*time.Millisecond, "delay of each driver call")

// TestSlowProviderConforms runs every case over a memory provider each of whose
// calls takes long. A slow provider conforms: a case that fails here keeps a time
// that it does not measure.
func TestSlowProviderConforms(t *testing.T) {
	for name, pause := range map[string]func(){
		"steady": func() { time.Sleep(*latency) },
		"random": func() { time.Sleep(rand.N(2 * *latency)) },
	} {
		t.Run(name, func(t *testing.T) {
			conformance.Test(t, intercept.Opener(func(ctx context.Context) (fairlead.Provider, error) {
				return fairlead.Open(ctx, "mem://")
			}, slowCalls(pause)), conformance.WithParallel(48))
		})
	}
}

// slowOps are the calls that wait for an answer of the backend, and for nothing else.
var slowOps = []string{
	"kv.OpenStore", "kv.Do", "kv.Txn", "kv.List", "kv.Watch",
	"pubsub.OpenTopic", "pubsub.OpenSubscription", "pubsub.Send", "pubsub.Settle", "rpc.OpenStream",
}

// slowCalls pauses before each call. A Receive pauses after the message came, as a slow
// connection does: its lease runs.
func slowCalls(pause func()) intercept.Hooks {
	return intercept.Hooks{
		Before: func(_ context.Context, c *intercept.Call) error {
			if slices.Contains(slowOps, c.Op) {
				pause()
			}
			return nil
		},
		After: func(c *intercept.Call, _ any, err error) {
			if c.Op == "pubsub.Receive" && err == nil {
				pause()
			}
		},
	}
}
