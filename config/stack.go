package config

import (
	"context"
	"errors"
	"reflect"
	"strings"

	"fairlead.dev"
	"fairlead.dev/internal/contained"
)

// stack holds the open layers with their contents. One goroutine at a time uses
// it.
type stack struct {
	schema   *node
	canon    canon
	defaults map[string]any
	layers   []*openLayer
}

type openLayer struct {
	feed    feed
	version string         // of the content that was read last
	applied map[string]any // the content that is applied
	pending map[string]any // a later content that is not applied; nil for none
}

func newStack(t reflect.Type, strict bool) (*stack, error) {
	if t.Kind() != reflect.Struct {
		return nil, fairlead.Errorf(fairlead.Invalid, "settings are loaded into a struct, got %s", t)
	}
	schema, err := schemaOf(t)
	if err != nil {
		return nil, err
	}
	return &stack{schema: schema, canon: canon{strict}, defaults: schema.tagDefaults(t)}, nil
}

// addLayer reads a layer for the first time. The stack owns the feed, even if
// reading fails.
func (s *stack) addLayer(ctx context.Context, f feed) error {
	l := &openLayer{feed: f}
	s.layers = append(s.layers, l)
	c, err := f.next(ctx, "")
	if err != nil {
		return err
	}
	return s.setPending(l, c)
}

// setPending makes a layer's content pending.
func (s *stack) setPending(l *openLayer, c content) error {
	l.version, l.pending = c.version, nil
	err := c.bad
	if err == nil {
		l.pending, err = s.canon.group("", c.values, s.schema)
	}
	return inLayer(err, l)
}

// inLayer names the layer in a rejection that lacks it.
func inLayer(err error, l *openLayer) error {
	var r *Rejected
	if errors.As(err, &r) && r.Layer == "" {
		named := *r
		named.Layer = l.feed.name()
		return &named
	}
	return err
}

// decode decodes the layers into a struct and validates it. A layer contributes
// its pending content if usePending returns true for it.
func (s *stack) decode(into any, usePending func(*openLayer) bool) error {
	contents := []map[string]any{s.defaults}
	for _, l := range s.layers {
		c := l.applied
		if l.pending != nil && usePending(l) {
			c = l.pending
		}
		contents = append(contents, c)
	}
	err := decodeLayers(contents, into)
	if err == nil {
		return s.validate(into)
	}
	return s.nameLayer(err, contents[1:])
}

// nameLayer adds to a rejection the last layer that has its key, and spells the
// key as the layer does.
func (s *stack) nameLayer(err error, contents []map[string]any) error {
	var r *Rejected
	if !errors.As(err, &r) || r.Key == "" {
		return err
	}
	for i := len(contents) - 1; i >= 0; i-- {
		if spelled, ok := findKey(contents[i], "", r.Key); ok {
			named := *r
			named.Key, named.Layer = spelled, s.layers[i].feed.name()
			return &named
		}
	}
	if _, ok := findKey(s.defaults, "", r.Key); ok {
		named := *r
		named.Layer = tagsLayer
		return &named
	}
	return err
}

// tagsLayer is the name of the layer below all others.
const tagsLayer = "the struct's default tags"

// findKey returns the key of a group that the decoder spells as key, with a "."
// where a key of a map has a bracket; or a longer one, if the group has a value
// where key has a group.
func findKey(group map[string]any, path, key string) (spelled string, ok bool) {
	for name, v := range group {
		at := join(path, name)
		asDecoder := bracketsToDots.Replace(at)
		inner, isGroup := v.(map[string]any)
		switch inside := strings.HasPrefix(key, asDecoder+"."); {
		case key == asDecoder:
			return at, true
		case inside && !isGroup:
			return at + key[len(asDecoder):], true
		case inside:
			if spelled, ok := findKey(inner, at, key); ok {
				return spelled, true
			}
		}
	}
	return "", false
}

// validate calls the struct's Validate, if it has one.
func (s *stack) validate(v any) (err error) {
	checked, ok := v.(interface{ Validate() error })
	if !ok {
		return nil
	}
	err = contained.Call(checked.Validate)
	if failure, ok := err.(*contained.Failure); ok {
		return &Rejected{Reason: "Validate " + failure.Kind()}
	}
	if err != nil {
		return &Rejected{Reason: "Validate refuses the settings", Err: s.schema.scrubError(err, v)}
	}
	return nil
}

// applyPending applies the pending contents of all layers. If they are rejected
// together, it applies only the content of the layer that changed. It returns
// the struct, and the layers whose contents were applied.
func applyPending[T any](s *stack, changed *openLayer) (*T, []*openLayer, error) {
	all := new(T)
	err := s.decode(all, func(*openLayer) bool { return true })
	if err == nil {
		return all, s.markApplied(func(*openLayer) bool { return true }), nil
	}
	if changed == nil || !s.anotherIsPending(changed) {
		return nil, nil, err
	}
	one, onlyChanged := new(T), func(l *openLayer) bool { return l == changed }
	if err := s.decode(one, onlyChanged); err != nil {
		return nil, nil, err
	}
	return one, s.markApplied(onlyChanged), nil
}

func (s *stack) anotherIsPending(changed *openLayer) bool {
	for _, l := range s.layers {
		if l != changed && l.pending != nil {
			return true
		}
	}
	return false
}

// markApplied makes the pending contents of these layers the applied ones, and
// returns the layers that had one.
func (s *stack) markApplied(which func(*openLayer) bool) []*openLayer {
	var applied []*openLayer
	for _, l := range s.layers {
		if l.pending != nil && which(l) {
			l.applied, l.pending = l.pending, nil
			applied = append(applied, l)
		}
	}
	return applied
}

func (s *stack) close(ctx context.Context) error {
	var all []error
	for _, l := range s.layers {
		all = append(all, l.feed.close(ctx))
	}
	return errors.Join(all...)
}
