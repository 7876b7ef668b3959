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

// logger logs the lines that a plugin writes to its standard error.
type logger struct {
	log  *slog.Logger
	tail *tail
	// panicked means that the plugin has begun to print a panic: all further lines
	// are errors.
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

// guessLevel guesses the level of a line that is not a record.
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

// record is a line that was written by a structured logger.
type record struct {
	level   slog.Level
	message string
	attrs   []slog.Attr
}

// String returns the record as text for people.
func (r record) String() string {
	text := r.level.String() + " " + r.message
	for _, a := range r.attrs {
		text += " " + a.String()
	}
	return text
}

// parseRecord parses a record of slog's JSON handler or of hclog. It returns false
// for anything else, for example if the message is not a string.
func parseRecord(line []byte) (record, bool) {
	if !bytes.HasPrefix(bytes.TrimSpace(line), []byte("{")) || !isSmall(line) {
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

// A record that exceeds these is logged as text: a logger writes the names of all
// groups before each field, and copies each group into the one that holds it.
const (
	maxDepth  = 8   // of objects and lists
	maxFields = 256 // in all objects
	maxName   = 128 // bytes of a field's name that are kept
)

// isSmall reports whether a line of JSON is within maxDepth and maxFields.
func isSmall(line []byte) bool {
	depth, fields, inString := 0, 0, false
	for i := 0; i < len(line); i++ {
		switch c := line[i]; {
		case inString && c == '\\':
			i++
		case c == '"':
			inString = !inString
		case inString:
		case c == '{' || c == '[':
			depth++
		case c == '}' || c == ']':
			depth--
		case c == ':':
			fields++
		}
		if depth > maxDepth || fields > maxFields {
			return false
		}
	}
	return true
}

// takeString removes the first of the named fields that is a string.
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
	name = printable([]byte(name[:min(len(name), maxName)]))
	switch v := value.(type) {
	case string:
		return slog.String(name, printable([]byte(v)))
	case map[string]any:
		return slog.Attr{Key: name, Value: slog.GroupValue(attrs(v)...)}
	default:
		return slog.Any(name, v)
	}
}

// levelTrace is hclog's level below Debug.
const levelTrace = slog.LevelDebug - 4

// parseLevel parses a level of slog, for example INFO or WARN+1, or of hclog.
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

// leastLevel returns the lowest level that a logger takes, in the form that the
// plugin parses.
func leastLevel(log *slog.Logger) string {
	for _, l := range []slog.Level{levelTrace, slog.LevelDebug, slog.LevelInfo, slog.LevelWarn} {
		if log.Enabled(context.Background(), l) {
			return l.String()
		}
	}
	return slog.LevelError.String()
}
