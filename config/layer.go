package config

import (
	"context"
	"fmt"
	"reflect"
	"strings"

	kmaps "github.com/knadh/koanf/maps"
	"github.com/knadh/koanf/providers/env/v2"

	"fairlead.dev"
)

// Layer is one origin of settings. [Load] and [Watch] open it; it may be used
// more than once.
type Layer struct {
	open func(ctx context.Context) (feed, error)
	err  error // why the layer could not be made
}

func (l Layer) apply(s *setup) error {
	if l.err == nil && l.open == nil {
		return fairlead.Errorf(fairlead.Invalid, "a Layer is empty; make one with File, Env, From, FromURL, Map, Flags or Defaults")
	}
	s.layers = append(s.layers, l)
	return l.err
}

// feed is an open layer.
type feed interface {
	name() string
	// live reports whether the content may change.
	live() bool
	// next blocks until the version differs from the given one, which is empty
	// at first. An error means that the layer cannot be reached.
	next(ctx context.Context, version string) (content, error)
	close(ctx context.Context) error
}

// content is the content of a layer at one time.
type content struct {
	version string
	values  map[string]any // nested; not yet in canonical spelling
	bad     error          // why it is malformed
}

// static is a layer that never changes.
type static struct {
	label  string
	values map[string]any
}

func (s static) name() string { return s.label }
func (s static) live() bool   { return false }

func (s static) next(context.Context, string) (content, error) {
	return content{version: "1", values: s.values}, nil
}

func (s static) close(context.Context) error { return nil }

// readOnce returns a layer that is read when it is opened.
func readOnce(label string, read func() (map[string]any, error)) Layer {
	return Layer{open: func(context.Context) (feed, error) {
		values, err := read()
		if err != nil {
			return nil, fairlead.Errorf(fairlead.Invalid, "%s: %w", label, err)
		}
		return static{label, values}, nil
	}}
}

// Defaults is a layer that holds the fields of a struct, usually of the type
// that is loaded, including zero values but not nil pointers, maps and lists.
// The struct is read when Defaults is called.
func Defaults(v any) Layer {
	rv := reflect.ValueOf(v)
	for rv.Kind() == reflect.Pointer && !rv.IsNil() {
		rv = rv.Elem()
	}
	if rv.Kind() != reflect.Struct {
		return Layer{err: fairlead.Errorf(fairlead.Invalid, "Defaults needs a struct, got a %T", v)}
	}
	schema, err := schemaOf(rv.Type())
	if err != nil {
		return Layer{err: err}
	}
	values := schema.plainFields(rv)
	return readOnce("defaults", func() (map[string]any, error) { return values, nil })
}

// Map is a layer that holds the given keys, which may be nested or have parts
// separated by "." or "/". The layer does not change the map, and keeps it: do
// not change it later.
func Map(values map[string]any) Layer {
	return readOnce("map", func() (map[string]any, error) {
		own := kmaps.Copy(values)
		kmaps.IntfaceKeysToStrings(own)
		return unnest(own, splitKey), nil
	})
}

// Env is a layer of the environment variables that start with a prefix, which
// may be empty. They are read when the layer is opened. The rest of a name is the
// key, with "__" between its parts: APP_LIMITS__RATE is limits.rate for Env("APP_").
func Env(prefix string) Layer {
	return readOnce(strings.TrimSpace("environment "+prefix), func() (map[string]any, error) {
		read := env.Provider("", env.Opt{Prefix: prefix, TransformFunc: func(name, value string) (string, any) {
			return strings.ToLower(strings.TrimPrefix(name, prefix)), value
		}})
		values, err := read.Read()
		return nest(values, func(key string) []string { return strings.Split(key, "__") }), err
	})
}

// From is a layer of the settings of that name on a provider; see [Open].
func From(p fairlead.Provider, name string, opts ...SourceOption) Layer {
	return Layer{open: func(ctx context.Context) (feed, error) {
		s, err := Open(ctx, p, name, opts...)
		if err != nil {
			return nil, err
		}
		return sourceFeed{s}, nil
	}}
}

// sourceFeed is a layer over a source.
type sourceFeed struct{ source *Source }

func (f sourceFeed) name() string { return fmt.Sprintf("%s %q", f.source.provider, f.source.name) }
func (f sourceFeed) live() bool   { return true }

func (f sourceFeed) next(ctx context.Context, version string) (content, error) {
	state, err := f.read(ctx, version)
	if err != nil {
		return content{}, err
	}
	flat := make(map[string]any, len(state.Values))
	for key, v := range state.Values {
		flat[key] = string(v.Data)
	}
	return content{version: state.Version, values: nest(flat, splitKey)}, nil
}

func (f sourceFeed) read(ctx context.Context, version string) (State, error) {
	if version == "" && !f.source.quiet.isSet() {
		return f.source.Snapshot(ctx)
	}
	return f.source.Next(ctx, version)
}

func (f sourceFeed) close(ctx context.Context) error { return f.source.Close(ctx) }

// splitKey returns the parts of a key of a provider.
func splitKey(key string) []string {
	return strings.Split(strings.ReplaceAll(key, "/", "."), ".")
}
