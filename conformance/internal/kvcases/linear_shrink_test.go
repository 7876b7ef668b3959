package kvcases

import (
	"testing"

	"github.com/anishathalye/porcupine"
)

// TestShortestIllegal: of a history with a stale read, the read and the two writes
// that it lies between are left, and no call of another key.
func TestShortestIllegal(t *testing.T) {
	call := func(client int, began int64, in step, out seen) porcupine.Operation {
		return porcupine.Operation{ClientId: client, Input: in, Output: out, Call: began, Return: began + 500_000}
	}
	read := func(client int, began int64, value string) porcupine.Operation {
		return call(client, began, step{kind: "read", key: "k1"}, seen{value: value})
	}
	put := func(client int, began int64, value string) porcupine.Operation {
		return call(client, began, step{kind: "put", key: "k1", value: value}, seen{})
	}
	history := []porcupine.Operation{
		put(0, 1_000_000, "a"), read(1, 2_000_000, "a"), put(0, 3_000_000, "b"), read(2, 4_000_000, "b"),
		call(3, 4_000_000, step{kind: "put", key: "k2", value: "x"}, seen{}),
		read(1, 5_000_000, "a"), put(0, 6_000_000, "c"), read(2, 7_000_000, "c"),
	}
	want := `  client 0, 1ms to 1.5ms: put k1 = "a": done
  client 0, 3ms to 3.5ms: put k1 = "b": done
  client 1, 5ms to 5.5ms: read k1: "a"`
	if got := formatCalls(shortestIllegal(history)); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}
