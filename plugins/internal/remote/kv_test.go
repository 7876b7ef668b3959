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

// cramped answers calls as a plugin whose replies have little room: a read of a
// key with a b has some only in the first place, one with an x nowhere. Writes
// of such keys are too large, too.
func answerWithLimit(_ context.Context, c *pluginpb.Call) *pluginpb.Reply {
	if r := replyToOpening(c); r != nil {
		return r
	}
	time.Sleep(time.Second) // so that who asks for ever comes to the end of its time
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

// ops are reads, and writes where a ! stands before the key.
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

// outcomes are what ops get: values, and codes.
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

// TestCrowdedOutIsReadAgain shows that values which found no room in one reply
// come with others, and that nothing else is asked twice: no write, and nothing
// that does not fit although it is alone.
func TestCrowdedOutIsReadAgain(t *testing.T) {
	for _, c := range []struct {
		ops   string
		calls []string // the keys of each
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
