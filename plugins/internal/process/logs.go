package process

import (
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"maps"
	"slices"
	"strings"
)

// logger passes on what a plugin writes to its standard error.
type logger struct {
	log  *slog.Logger
	tail *tail
	// panicked: the plugin prints why it ends; all that follows is an error.
	panicked bool
}

func newLogger(log *slog.Logger, t *tail) *logger { return &logger{log: log, tail: t} }

func (l *logger) logLine(line []byte, cut int) {
	text := printable(line)
	if strings.TrimSpace(text) == "" {
		return
	}
	r, ok := parseRecord(line)
	switch {
	case ok:
		text = r.String()
	case cut > 0:
		r = record{level: slog.LevelInfo, message: text, attrs: []slog.Attr{slog.Int("bytes cut", cut)}}
	default:
		r = record{level: l.guessLevel(text), message: text}
	}
	l.tail.add(text, cut)
	l.log.LogAttrs(context.Background(), r.level, r.message, r.attrs...)
}

// levelOf guesses the level of a line that is no record.
func (l *logger) guessLevel(text string) slog.Level {
	if strings.HasPrefix(text, "panic: ") || strings.HasPrefix(text, "fatal error: ") {
		l.panicked = true
	}
	if l.panicked {
		return slog.LevelError
	}
	word, _, _ := strings.Cut(strings.TrimLeft(text, "["), " ")
	if lvl, ok := parseLevel(strings.TrimRight(word, "]:")); ok {
		return lvl
	}
	return slog.LevelInfo
}

// record is a line that a structured logger wrote.
type record struct {
	level   slog.Level
	message string
	attrs   []slog.Attr
}

// String is for people.
func (r record) String() string {
	text := r.level.String() + " " + r.message
	for _, a := range r.attrs {
		text += " " + a.String()
	}
	return text
}

// parseRecord reads what slog's JSON handler or hclog writes. Anything else,
// as a message that is no string, is no record.
func parseRecord(line []byte) (record, bool) {
	if !bytes.HasPrefix(bytes.TrimSpace(line), []byte("{")) {
		return record{}, false
	}
	var fields map[string]any
	d := json.NewDecoder(bytes.NewReader(line))
	d.UseNumber()
	if d.Decode(&fields) != nil || d.More() {
		return record{}, false
	}
	message, hasMessage := takeString(fields, "msg", "@message")
	name, hasLevel := takeString(fields, "level", "@level")
	lvl, known := parseLevel(name)
	if !hasMessage || !hasLevel || !known {
		return record{}, false
	}
	delete(fields, "time")
	delete(fields, "@timestamp")
	return record{level: lvl, message: printable([]byte(message)), attrs: attrs(fields)}, true
}

// take removes the first of the fields that is there and is a string.
func takeString(fields map[string]any, names ...string) (string, bool) {
	for _, n := range names {
		if s, ok := fields[n].(string); ok {
			delete(fields, n)
			return s, true
		}
	}
	return "", false
}

func attrs(fields map[string]any) []slog.Attr {
	list := make([]slog.Attr, 0, len(fields))
	for _, name := range slices.Sorted(maps.Keys(fields)) {
		list = append(list, attr(name, fields[name]))
	}
	return list
}

func attr(name string, value any) slog.Attr {
	name = printable([]byte(name))
	switch v := value.(type) {
	case string:
		return slog.String(name, printable([]byte(v)))
	case map[string]any:
		return slog.Attr{Key: name, Value: slog.GroupValue(attrs(v)...)}
	default:
		return slog.Any(name, v)
	}
}

// levelTrace is hclog's, below Debug.
const levelTrace = slog.LevelDebug - 4

// parseLevel reads the levels of slog, as INFO or WARN+1, and of hclog.
func parseLevel(name string) (slog.Level, bool) {
	if strings.EqualFold(name, "trace") {
		return levelTrace, true
	}
	if strings.EqualFold(name, "warning") {
		return slog.LevelWarn, true
	}
	var l slog.Level
	err := l.UnmarshalText([]byte(name))
	return l, err == nil
}

// level is the least level that a logger takes, as the plugin reads it.
func leastLevel(log *slog.Logger) string {
	for _, l := range []slog.Level{levelTrace, slog.LevelDebug, slog.LevelInfo, slog.LevelWarn} {
		if log.Enabled(context.Background(), l) {
			return l.String()
		}
	}
	return slog.LevelError.String()
}
