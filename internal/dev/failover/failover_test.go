package failover

import (
	"context"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"

	_ "fairlead.dev/providers/memory"
)

// TestRun loads memory, whose servers cannot be killed.
func TestRun(t *testing.T) {
	Run(t, "mem://"+t.Name(), Load{
		Publications: 500, Increments: 500, Kills: 3, Every: 10 * time.Millisecond, Limit: time.Minute,
		Kill: func(context.Context) error { return nil },
	})
}

// TestModel checks histories of one counter, some with an order that explains
// them and some without.
func TestModel(t *testing.T) {
	op := func(call_, ret int64, in call, out result) porcupine.Operation {
		return porcupine.Operation{Input: in, Output: out, Call: call_, Return: ret}
	}
	add := func(from int) call { return call{write: true, from: from} }
	for name, c := range map[string]struct {
		ops  []porcupine.Operation
		want bool
	}{
		"counted and read": {[]porcupine.Operation{op(1, 2, add(0), result{}), op(3, 4, call{}, result{value: 1})}, true},
		"a stale read":     {[]porcupine.Operation{op(1, 2, add(0), result{}), op(3, 4, call{}, result{})}, false},
		"applied twice":    {[]porcupine.Operation{op(1, 2, add(0), result{}), op(3, 4, add(0), result{})}, false},
		"a false conflict": {[]porcupine.Operation{op(3, 4, add(0), result{conflict: true})}, false},
		"unknown, applied": {[]porcupine.Operation{op(1, 99, add(0), result{unknown: true}), op(3, 4, call{}, result{value: 1})}, true},
		"unknown, not":     {[]porcupine.Operation{op(1, 99, add(0), result{unknown: true}), op(3, 4, call{}, result{})}, true},
	} {
		if got := porcupine.CheckOperations(model, c.ops); got != c.want {
			t.Errorf("%s: linearizable: %t, want %t", name, got, c.want)
		}
	}
}
