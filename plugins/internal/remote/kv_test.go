package remote

import (
	"context"
	"reflect"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"fairlead.dev"
	"fairlead.dev/kv/driver"
	"fairlead.dev/plugins/internal/pluginpb/fairlead/plugin/v1"
)

// answerWithLimit answers calls like a plugin whose replies have little room. The
// value of a key with a b fits only in the first place, the value of a key with an
// x nowhere. Writes of such keys are too large, too.
func answerWithLimit(_ context.Context, c *pluginpb.Call) *pluginpb.Reply {
	if r := replyToOpening(c); r != nil {
		return r
	}
	time.Sleep(time.Second) // so that a caller that asks for ever reaches its deadline
	results := &pluginpb.KVResults{}
	for i, op := range c.GetKvDo().GetOps() {
		key, r := string(op.Key), &pluginpb.KVResult{Value: op.Key}
		switch {
		case strings.Contains(key, "b") && i > 0, strings.Contains(key, "x"):
			r = &pluginpb.KVResult{Error: &pluginpb.Error{Code: pluginpb.Code_CODE_TOO_LARGE}}
		case strings.Contains(key, "n"):
			r = &pluginpb.KVResult{Error: &pluginpb.Error{Code: pluginpb.Code_CODE_NOT_FOUND}}
		}
		results.Results = append(results.Results, r)
	}
	return &pluginpb.Reply{Body: &pluginpb.Reply_KvResults{KvResults: results}}
}

// parseOps returns a read for each key, and a write if a ! precedes the key.
func parseOps(keys string) (all []driver.Op) {
	for _, key := range strings.Fields(keys) {
		op := driver.Op{Kind: driver.OpGet, Key: key}
		if write, ok := strings.CutPrefix(key, "!"); ok {
			op = driver.Op{Kind: driver.OpPut, Key: write}
		}
		all = append(all, op)
	}
	return all
}

// formatResults returns the value or the error's code of each result.
func formatResults(results []driver.Result) string {
	var all []string
	for _, r := range results {
		if r.Err != nil {
			all = append(all, "<"+fairlead.CodeOf(r.Err).String()+">")
		} else {
			all = append(all, string(r.Value))
		}
	}
	return strings.Join(all, " ")
}

// TestCrowdedOutIsReadAgain shows that values which did not fit in one reply are
// read again. No other operation is repeated: neither a write nor a read whose
// value does not fit even in a reply of its own.
func TestCrowdedOutIsReadAgain(t *testing.T) {
	for _, c := range []struct {
		ops   string
		calls []string // the keys of each call
		want  string
	}{
		{"a b c", []string{"a b c", "b"}, "a b c"},
		{"a b1 c b2 b3", []string{"a b1 c b2 b3", "b1 b2 b3", "b2 b3", "b3"}, "a b1 c b2 b3"},
		{"b a", []string{"b a"}, "b a"},
		{"a !b c", []string{"a b c"}, "a <too large> c"},
		{"a !b b", []string{"a b b", "b"}, "a <too large> b"},
		{"x", []string{"x"}, "<too large>"},
		{"a x", []string{"a x", "x"}, "a <too large>"},
		{"a bn c n", []string{"a bn c n", "bn"}, "a <not found> c <not found>"},
	} {
		synctest.Test(t, func(t *testing.T) {
			p := &fakePlugin{answer: answerWithLimit}
			s, err := p.openProvider(t).OpenStore(t.Context(), driver.StoreConfig{Name: "s"})
			if err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			got := formatResults(s.Do(ctx, parseOps(c.ops)))
			calls := selectCalls(p, func(c *pluginpb.Call) (string, bool) {
				var keys []string
				for _, op := range c.GetKvDo().GetOps() {
					keys = append(keys, string(op.Key))
				}
				return strings.Join(keys, " "), c.GetKvDo() != nil
			})
			if got != c.want || !reflect.DeepEqual(calls, c.calls) {
				t.Errorf("%q gets %q with calls %q, want %q with %q", c.ops, got, calls, c.want, c.calls)
			}
		})
	}
}
