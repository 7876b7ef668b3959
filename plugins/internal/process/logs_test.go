package process

import (
	"bytes"
	"io"
	"log/slog"
	"strings"
	"testing"
	"unicode"
)

func FuzzLogger(f *testing.F) {
	for _, l := range oddLines {
		f.Add([]byte(l))
	}
	f.Add([]byte(`{"time":"x","level":"WARN+1","msg":"m","g":{"a":[1,{"b":null}]}}` + "\r\n[WARN] w\npanic: p\ngoroutine 1"))
	f.Fuzz(func(t *testing.T, written []byte) {
		var log bytes.Buffer
		l := newLogger(slog.New(slog.NewTextHandler(&log, nil)), &tail{})
		read := 0
		readLines(io.MultiReader(bytes.NewReader(written), strings.NewReader("\n")), func(line []byte, cut int) {
			read += len(line) + cut
			l.logLine(line, cut)
		})
		if lost := len(written) + 1 - read; lost < 0 || lost > bytes.Count(written, []byte("\n"))+bytes.Count(written, []byte("\r"))+1 {
			t.Errorf("%d of %d bytes were read", read, len(written))
		}
		for _, r := range log.String() {
			if r != '\n' && !unicode.IsPrint(r) {
				t.Errorf("the log has the character %q", r)
			}
		}
		for _, line := range l.tail.lines() {
			if strings.ContainsFunc(line, func(r rune) bool { return r != '\t' && !unicode.IsPrint(r) }) {
				t.Errorf("the tail has %q", line)
			}
			if len(line) > maxTailBytes+40 {
				t.Errorf("a line of the tail has %d bytes", len(line))
			}
		}
	})
}

func TestLevels(t *testing.T) {
	for line, want := range map[string]slog.Level{
		"plain":                                  slog.LevelInfo,
		"[WARN] w":                               slog.LevelWarn,
		"warning: w":                             slog.LevelWarn,
		"ERROR: e":                               slog.LevelError,
		"[TRACE] t":                              levelTrace,
		"panic: p":                               slog.LevelError,
		`{"level":"DEBUG","msg":"d"}`:            slog.LevelDebug,
		`{"level":"WARN+1","msg":"w"}`:           slog.LevelWarn + 1,
		`{"@level":"trace","@message":"t"}`:      levelTrace,
		`{"@level":"loud","@message":"t"}`:       slog.LevelInfo,
		`{"level":"ERROR","msg":"two"} trailing`: slog.LevelInfo,
	} {
		var got slog.Level
		h := slog.NewTextHandler(io.Discard, &slog.HandlerOptions{
			Level: levelTrace,
			ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
				if l, ok := a.Value.Any().(slog.Level); ok && a.Key == slog.LevelKey {
					got = l
				}
				return a
			},
		})
		newLogger(slog.New(h), &tail{}).logLine([]byte(line), 0)
		if got != want {
			t.Errorf("%s: got %v, want %v", line, got, want)
		}
	}
}

// After the first line of a panic, all lines are errors.
func TestPanicLines(t *testing.T) {
	var log bytes.Buffer
	l := newLogger(slog.New(slog.NewTextHandler(&log, nil)), &tail{})
	for _, line := range []string{"before", "panic: p", "goroutine 1 [running]:"} {
		l.logLine([]byte(line), 0)
	}
	if n := strings.Count(log.String(), "level=ERROR"); n != 2 {
		t.Errorf("%d errors, want 2:\n%s", n, log.String())
	}
}

// TestNestedRecordsAreCheap shows that a nested line costs little more than its
// length: what is logged of a line has a bounded size.
func TestNestedRecordsAreCheap(t *testing.T) {
	head := `{"level":"INFO","msg":"m","x":`
	for name, line := range map[string]string{
		"deep objects":              head + strings.Repeat(`{"a":`, 9000) + "1" + strings.Repeat("}", 9001),
		"deep lists":                head + strings.Repeat("[", 9000) + strings.Repeat("]", 9000) + "}",
		"many fields of long names": head + `{"` + strings.Repeat("n", 30000) + `":{` + strings.TrimSuffix(strings.Repeat(`"a":1,`, 5000), ",") + "}}}",
		"long names":                head + `{"` + strings.Repeat("n", 60000) + `":{"a":1,"b":2}}}`,
		"a string that looks deep":  head + `"` + strings.Repeat(`{\\\"`, 9000) + `"}`,
		"what is allowed":           head + strings.Repeat(`{"a":`, 7) + "1" + strings.Repeat("}", 8),
	} {
		var log bytes.Buffer
		newLogger(slog.New(slog.NewTextHandler(&log, nil)), &tail{}).logLine([]byte(line), 0)
		if log.Len() > 3*len(line)+1000 || log.Len() == 0 {
			t.Errorf("%s: a line of %d bytes is logged as %d bytes", name, len(line), log.Len())
		}
		if record := strings.Contains(log.String(), "msg=m "); record != !strings.HasPrefix(name, "deep") && !strings.HasPrefix(name, "many") != record {
			t.Errorf("%s: logged as a record: %v", name, record)
		}
	}
}
