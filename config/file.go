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

// pollEvery is how often a watched file is read. Polling finds changes that
// notifications of the file system miss: renames over the file, replaced symbolic
// links, network file systems.
const pollEvery = 500 * time.Millisecond

// File is a layer of a file in YAML (.yaml, .yml), JSON (.json) or TOML
// (.toml). The file must exist when it is opened. A watcher reads it twice a
// second.
func File(path string) Layer { return newFile(path, false) }

// OptionalFile is [File], except that a file that does not exist is an empty
// layer, at first or later.
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

// poll is the result of one poll. Equal polls saw the same content.
type poll struct {
	version string
	data    string
	failure string // why the file cannot be read
}

func (f *file) poll() poll {
	data, err := os.ReadFile(f.path)
	switch {
	case err == nil:
		sum := sha256.Sum256(data)
		return poll{version: hex.EncodeToString(sum[:]), data: string(data)}
	case f.optional && errors.Is(err, fs.ErrNotExist):
		return poll{version: "absent"}
	}
	return poll{failure: err.Error()}
}

// next implements feed. It returns a change that two polls in a row have seen.
func (f *file) next(ctx context.Context, version string) (content, error) {
	seen := f.poll()
	if version == "" {
		return f.parse(seen)
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
		if seen = f.poll(); seen == before && seen.version != version {
			return f.parse(seen)
		}
	}
}

// describeLine returns the line where a file is malformed, if its parser reports
// one. The parser's text is not used: it may quote the file, and so a secret.
func describeLine(err error, data string) string {
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

func (f *file) parse(p poll) (content, error) {
	if p.failure != "" {
		return content{}, fairlead.Errorf(fairlead.Unavailable, "%s", p.failure)
	}
	c := content{version: p.version, values: map[string]any{}}
	if strings.TrimSpace(p.data) == "" {
		return c, nil
	}
	values, err := f.parser.Unmarshal([]byte(p.data))
	if err != nil {
		c.bad = &Rejected{Reason: "is not well-formed" + describeLine(err, p.data)}
		return c, nil
	}
	kmaps.IntfaceKeysToStrings(values)
	c.values = values
	return c, nil
}
