package redis

import (
	"strings"
	"testing"
)

// No reply of a server, and no data of another program, makes a decoder panic or
// return something other than it read.

func FuzzParseKept(f *testing.F) {
	for _, s := range []string{"", "1-1.", "1-1!v", "abc", "1760000000000-0.a.b!c"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		value, rev, err := parseKept(s)
		if err != nil {
			return
		}
		if !strings.HasPrefix(s, string(rev)) || !strings.HasSuffix(s, string(value)) || len(rev)+1+len(value) != len(s) {
			t.Errorf("%q: %q, %q", s, rev, value)
		}
	})
}

func FuzzParseInfo(f *testing.F) {
	f.Add("# Server\r\nredis_version:7.0.15\r\nrun_id:a\r\ncmdstat_config|set:calls=3,usec=1\r\n")
	f.Add("aof_enabled:1\nrole:master")
	f.Fuzz(func(t *testing.T, s string) {
		n := parseInfo(s)
		n.durabilityLacks(false)
		isOlder(n.version, 7)
	})
}

func FuzzParseEvent(f *testing.F) {
	f.Add("Pkey", "value")
	f.Add("", "")
	f.Add("Q", "x")
	f.Fuzz(func(t *testing.T, name, value string) {
		e, ok := parseEvent(name, value, "1-1")
		if ok && (e.Key != name[1:] || e.Kind == 0) {
			t.Errorf("%q: %+v", name, e)
		}
	})
}

func TestRepliesOfAnotherShapeAreErrors(t *testing.T) {
	for _, reply := range [][]any{nil, {"1-1"}, {"", "", []any{"k", int64(1)}}, {"", "", []any{"k", "no flag"}}} {
		if page, err := parsePage(reply); err == nil {
			t.Errorf("%v: %+v", reply, page)
		}
	}
	if id, fields := splitEntry("x"); id != "" || fields != nil {
		t.Errorf("an entry: %q %v", id, fields)
	}
}

func TestPrefixRange(t *testing.T) {
	for prefix, want := range map[string][2]string{
		"": {"[", "+"}, "a": {"[a", "(b"}, "a\xff": {"[a\xff", "(b"}, "\xff": {"[\xff", "+"}, "é": {"[é", "(\xc3\xaa"},
	} {
		if lower, upper := prefixRange(prefix); lower != want[0] || upper != want[1] {
			t.Errorf("%q: %q %q", prefix, lower, upper)
		}
	}
}

func TestUnchangedSinceStart(t *testing.T) {
	const never = "master_replid2:0000000000000000000000000000000000000000\r\n"
	for text, want := range map[string]bool{
		never: true,
		never + "cmdstat_config|get:calls=3,usec=1\r\n":                  true,
		never + "cmdstat_config|set:calls=0,usec=0,rejected_calls=1\r\n": true,
		never + "cmdstat_config|set:calls=1,usec=1\r\n":                  false,
		never + "cmdstat_config|resetstat:calls=1,usec=1\r\n":            false,
		never + "cmdstat_replicaof:calls=1,usec=1\r\n":                   false,
		never + "cmdstat_slaveof:calls=1,usec=1\r\n":                     false,
		"master_replid2:2c61bc1fe58a48ae0c2c57414b6cd4abc21656cf\r\n":    false,
		"": false,
	} {
		if got := parseInfo(text).unchanged; got != want {
			t.Errorf("%q: %v", text, got)
		}
	}
}
