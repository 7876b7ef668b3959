package config

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	stdjson "encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	kmaps "github.com/knadh/koanf/maps"
	"github.com/knadh/koanf/parsers/json"
	"github.com/knadh/koanf/parsers/toml/v2"
	"github.com/knadh/koanf/parsers/yaml"
	"github.com/knadh/koanf/v2"

	"fairlead.dev"
)

// pollEvery is how often a watched file is read. Reading finds what notices
// of the file system miss: renames over the file, swapped symbolic links,
// network file systems.
const pollEvery = 500 * time.Millisecond

// File is a layer of a file in YAML (.yaml, .yml), JSON (.json) or TOML
// (.toml). The file must exist when it is opened. A watcher reads it twice a
// second.
func File(path string) Layer { return newFile(path, false) }

// OptionalFile is as [File], but a file that does not exist is an empty layer,
// at first or later.
func OptionalFile(path string) Layer { return newFile(path, true) }

func newFile(path string, optional bool) Layer {
	var parser koanf.Parser
	switch ext := strings.ToLower(filepath.Ext(path)); ext {
	case ".yaml", ".yml":
		parser = yaml.Parser()
	case ".json":
		parser = json.Parser()
	case ".toml":
		parser = toml.Parser()
	default:
		return Layer{err: fairlead.Errorf(fairlead.Invalid, "the file %q has the extension %q; accepted: .yaml, .yml, .json, .toml", path, ext)}
	}
	return Layer{open: func(context.Context) (feed, error) { return &file{path, optional, parser}, nil }}
}

type file struct {
	path     string
	optional bool
	parser   koanf.Parser
}

func (f *file) name() string { return "file " + f.path }
func (f *file) live() bool   { return true }

func (f *file) close(context.Context) error { return nil }

// look is what one poll saw. Equal looks saw the same.
type look struct {
	version string
	data    string
	failure string // of reading
}

func (f *file) look() look {
	data, err := os.ReadFile(f.path)
	switch {
	case err == nil:
		sum := sha256.Sum256(data)
		return look{version: hex.EncodeToString(sum[:]), data: string(data)}
	case f.optional && errors.Is(err, fs.ErrNotExist):
		return look{version: "absent"}
	}
	return look{failure: err.Error()}
}

// next implements feed. What differs must be seen twice in a row.
func (f *file) next(ctx context.Context, version string) (content, error) {
	seen := f.look()
	if version == "" {
		return f.content(seen)
	}
	ticker := time.NewTicker(pollEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return content{}, fairlead.ContextError(ctx)
		}
		before := seen
		if seen = f.look(); seen == before && seen.version != version {
			return f.content(seen)
		}
	}
}

// lineOf returns where a file is malformed, as far as its parser says. The
// parser's text is not used: it may hold parts of the file, and so of a secret.
func lineOf(err error, data string) string {
	var json *stdjson.SyntaxError
	var toml interface{ Position() (row, column int) }
	switch {
	case errors.As(err, &json):
		return fmt.Sprintf(", at line %d", 1+strings.Count(data[:min(int(json.Offset), len(data))], "\n"))
	case errors.As(err, &toml):
		row, _ := toml.Position()
		return fmt.Sprintf(", at line %d", row)
	}
	if m := lineInText.FindString(err.Error()); m != "" {
		return ", at " + m
	}
	return ""
}

var lineInText = regexp.MustCompile(`\bline \d+`)

func (f *file) content(l look) (content, error) {
	if l.failure != "" {
		return content{}, fairlead.Errorf(fairlead.Unavailable, "%s", l.failure)
	}
	c := content{version: l.version, values: map[string]any{}}
	if strings.TrimSpace(l.data) == "" {
		return c, nil
	}
	values, err := f.parser.Unmarshal([]byte(l.data))
	if err != nil {
		c.bad = &Rejected{Reason: "is not well-formed" + lineOf(err, l.data)}
		return c, nil
	}
	kmaps.IntfaceKeysToStrings(values)
	c.values = values
	return c, nil
}
