package config

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io/fs"
	"time"

	"fairlead.dev"
	"fairlead.dev/config/driver/format"
	"fairlead.dev/internal/regularfile"
)

const (
	// pollEvery is how often a watched file is read. Polling finds changes that
	// notifications of the file system miss: renames over the file, replaced
	// symbolic links, network file systems.
	pollEvery = 500 * time.Millisecond
	// settledAfter is how long a file must not have been modified to be used
	// after one look.
	settledAfter = time.Second
	// maxFile is the longest file that is read, in bytes.
	maxFile = 16 << 20
)

// File is a layer of a file in YAML (.yaml, .yml), JSON (.json) or TOML
// (.toml), of at most 16 MiB. It must exist when it is opened, and be a regular
// file, or a symbolic link to one. A watcher reads it twice a second.
func File(path string) Layer { return newFile(path, false) }

// OptionalFile is [File], except that a file that does not exist is an empty
// layer, at first or later.
func OptionalFile(path string) Layer { return newFile(path, true) }

func newFile(path string, optional bool) Layer {
	f, ok := format.OfFile(path)
	if !ok {
		return Layer{err: fairlead.Errorf(fairlead.Invalid, "the extension of the file %s is not a known format; accepted: .yaml, .yml, .json, .toml", quoteName(path))}
	}
	return Layer{open: func(context.Context) (feed, error) { return &file{path: path, optional: optional, format: f}, nil }}
}

// file is an open layer of a file. One goroutine at a time uses it.
type file struct {
	path     string
	optional bool
	format   format.Format
	known    bool // a content was returned
}

func (f *file) name() string { return "file " + f.path }
func (f *file) live() bool   { return true }

func (f *file) close(context.Context) error { return nil }

// look is what one look at the file saw. Equal looks saw the same content.
type look struct {
	version string
	data    string
	failure string // why the file cannot be read
	refused string // why its content is not looked at
}

// look reads the file. It is settled if nobody can be in the middle of writing
// it, as far as the time of its last modification tells.
func (f *file) look() (seen look, settled bool) {
	data, modified, err := readFile(f.path)
	switch {
	case err == nil:
		sum := sha256.Sum256(data)
		return look{version: hex.EncodeToString(sum[:]), data: string(data)}, time.Since(modified) >= settledAfter
	case errors.Is(err, regularfile.ErrTooLong):
		return look{version: "too long", refused: err.Error()}, false
	case f.optional && errors.Is(err, fs.ErrNotExist):
		return look{version: "absent"}, !f.known
	}
	return look{failure: err.Error()}, true
}

// readFile reads a regular file. It returns when the file was last modified, as
// it was after the reading.
func readFile(path string) (data []byte, modified time.Time, err error) {
	in, err := regularfile.Open(path)
	if err != nil {
		return nil, modified, err
	}
	defer in.Close()
	if data, err = regularfile.ReadOpen(in, maxFile); err != nil {
		return nil, modified, err
	}
	info, err := in.Stat()
	if err != nil {
		return nil, modified, err
	}
	return data, info.ModTime(), nil
}

// next implements feed. It returns a content that two looks in a row have seen.
// At first, and after a failure, one look suffices if the file is settled.
func (f *file) next(ctx context.Context, version string) (content, error) {
	seen, settled := f.look()
	if version == "" && settled {
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
		if seen, _ = f.look(); seen == before && (seen.failure != "" || seen.version != version) {
			return f.parse(seen)
		}
	}
}

func (f *file) parse(seen look) (content, error) {
	if seen.failure != "" {
		return content{}, fairlead.Errorf(fairlead.Unavailable, "%s", seen.failure)
	}
	f.known = true
	c := content{version: seen.version}
	if seen.refused != "" {
		c.bad = &Rejected{Reason: seen.refused}
		return c, nil
	}
	values, err := f.format.Decode([]byte(seen.data))
	if err != nil {
		c.bad = &Rejected{Reason: err.Error()}
		return c, nil
	}
	c.values = values
	return c, nil
}
