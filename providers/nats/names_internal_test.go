package nats

import (
	"strings"
	"testing"
)

func TestKeySubject(t *testing.T) {
	for key, want := range map[string]string{
		"a":     "=a",
		"a/b":   "a/.=b",
		"a/":    "a/.=",
		"/":     "/.=",
		"//x":   "/./.=x",
		"a.b*>": "=a=2Eb=2A=3E",
		"é =41": "=" + "=C3=A9=20=3D41",
	} {
		if got := keySubject(key); got != want {
			t.Errorf("keySubject(%q) = %q, want %q", key, got, want)
		}
	}
	for prefix, want := range map[string]string{"": ">", "a": ">", "a/": "a/.>", "a/b/c": "a/.b/.>"} {
		if got := prefixFilter(prefix); got != want {
			t.Errorf("prefixFilter(%q) = %q, want %q", prefix, got, want)
		}
	}
	for _, bad := range []string{"", "a", "a/.b", "=a=", "=a=4", "=a=XX", "a/."} {
		if key, err := subjectKey(bad); err == nil {
			t.Errorf("subjectKey(%q) = %q, want an error", bad, key)
		}
	}
}

func FuzzKeySubject(f *testing.F) {
	for _, s := range []string{"a", "a/b", "/", "é", "=41", "a.b", "\x00", "*", ">"} {
		f.Add(s, "b")
	}
	f.Fuzz(func(t *testing.T, a, b string) {
		s := keySubject(a)
		got, err := subjectKey(s)
		if err != nil || got != a {
			t.Fatalf("%q becomes %q and then %q: %v", a, s, got, err)
		}
		if (a == b) != (s == keySubject(b)) {
			t.Fatalf("%q and %q have the subjects %q and %q", a, b, s, keySubject(b))
		}
		if strings.ContainsAny(s, " \t\r\n*>") || strings.Contains(s, "..") || strings.HasSuffix(s, ".") || strings.HasPrefix(s, ".") {
			t.Fatalf("%q is not a subject", s)
		}
		if filter, _ := strings.CutSuffix(prefixFilter(a), ">"); !strings.HasPrefix(keySubject(a+b), filter) {
			t.Fatalf("the filter %q of the prefix %q does not match %q", filter, a, keySubject(a+b))
		}
	})
}

func FuzzSubjectKey(f *testing.F) {
	f.Add("a/.=b=41")
	f.Fuzz(func(t *testing.T, s string) { _, _ = subjectKey(s) })
}
