package kvcases

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/anishathalye/porcupine"
)

// shrinkTime bounds the search for fewer calls.
const shrinkTime = 10 * time.Second

// shortestIllegal returns as few calls of an illegal history as are illegal, too. They
// are all of one key. A write stays as long as a call that has seen its value does.
func shortestIllegal(calls []porcupine.Operation) []porcupine.Operation {
	for _, part := range registers.Partition(calls) {
		if isIllegal(part) {
			calls = part
			break
		}
	}
	deadline := time.Now().Add(shrinkTime)
	for shrunk := true; shrunk; {
		shrunk = false
		for i := len(calls) - 1; i >= 0 && time.Now().Before(deadline); i-- {
			fewer := slices.Delete(slices.Clone(calls), i, i+1)
			if !isSeen(calls[i], fewer) && isIllegal(fewer) {
				calls, shrunk = fewer, true
			}
		}
	}
	slices.SortFunc(calls, func(a, b porcupine.Operation) int { return cmp.Compare(a.Call, b.Call) })
	return calls
}

func isIllegal(calls []porcupine.Operation) bool {
	return porcupine.CheckOperationsTimeout(registers, calls, time.Second) == porcupine.Illegal
}

// isSeen reports whether one of the calls has seen the value that a call wrote. A
// history without the write would show something else.
func isSeen(call porcupine.Operation, calls []porcupine.Operation) bool {
	wrote := call.Input.(step).value
	return wrote != "" && slices.ContainsFunc(calls, func(c porcupine.Operation) bool {
		return c.Output.(seen).value == wrote || c.Input.(step).expect == wrote
	})
}

// formatCalls returns a line for each call, by the time when it began.
func formatCalls(calls []porcupine.Operation) string {
	var b strings.Builder
	for _, c := range calls {
		fmt.Fprintf(&b, "  client %d, %s: %s\n", c.ClientId, formatTimes(c), formatStep(c.Input.(step), c.Output.(seen)))
	}
	return strings.TrimSuffix(b.String(), "\n")
}

func formatTimes(c porcupine.Operation) string {
	began := time.Duration(c.Call).Round(time.Microsecond)
	if c.Return == math.MaxInt64 {
		return fmt.Sprintf("from %v", began)
	}
	return fmt.Sprintf("%v to %v", began, time.Duration(c.Return).Round(time.Microsecond))
}

func formatStep(in step, out seen) string {
	result := "done"
	switch {
	case out.unknown:
		result = "outcome unknown"
	case out.conflict:
		result = "conflict"
	}
	switch {
	case in.kind == "read" && out.value == "":
		return fmt.Sprintf("read %s: no such key", in.key)
	case in.kind == "read":
		return fmt.Sprintf("read %s: %q", in.key, out.value)
	case in.kind == "delete":
		return fmt.Sprintf("delete %s: %s", in.key, result)
	case in.kind == "cas" && in.expect == "":
		return fmt.Sprintf("create %s = %q: %s", in.key, in.value, result)
	case in.kind == "cas":
		return fmt.Sprintf("cas %s = %q where it is %q: %s", in.key, in.value, in.expect, result)
	default:
		return fmt.Sprintf("put %s = %q: %s", in.key, in.value, result)
	}
}
