package config

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"strings"

	"fairlead.dev"
)

// stack is the open layers with what each of them holds. One goroutine at a
// time uses it.
type stack struct {
	schema   *node
	canon    canon
	defaults map[string]any
	layers   []*openLayer
}

type openLayer struct {
	feed    feed
	version string         // of what was read last
	good    map[string]any // what is applied
	pending map[string]any // what was read later and is not applied; nil if nothing
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

// add reads a layer for the first time. The stack owns the feed also if that
// fails.
func (s *stack) add(ctx context.Context, f feed) error {
	l := &openLayer{feed: f}
	s.layers = append(s.layers, l)
	c, err := f.next(ctx, "")
	if err != nil {
		return err
	}
	return s.read(l, c)
}

// read makes a layer's content pending.
func (s *stack) read(l *openLayer, c content) error {
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

// decode decodes the layers into a struct and validates it, with what is
// pending in the layers that use returns true for.
func (s *stack) decode(into any, use func(*openLayer) bool) error {
	contents := []map[string]any{s.defaults}
	for _, l := range s.layers {
		c := l.good
		if l.pending != nil && use(l) {
			c = l.pending
		}
		contents = append(contents, c)
	}
	err := decodeLayers(contents, into)
	if err == nil {
		return s.validate(into)
	}
	return s.blame(err, contents[1:])
}

// blame names the last layer that has the key at fault.
func (s *stack) blame(err error, contents []map[string]any) error {
	var r *Rejected
	if !errors.As(err, &r) || r.Key == "" {
		return err
	}
	for i := len(contents) - 1; i >= 0; i-- {
		if holds(contents[i], strings.Split(r.Key, ".")) {
			return inLayer(err, s.layers[i])
		}
	}
	named := *r
	named.Layer = tagsLayer
	return &named
}

// tagsLayer is the name of what lies below all layers.
const tagsLayer = "the struct's default tags"

// holds reports whether a content has a key, or a value in the place of one of
// the groups around it.
func holds(group map[string]any, path []string) bool {
	v, ok := group[path[0]]
	inner, isGroup := v.(map[string]any)
	return ok && (len(path) == 1 || !isGroup || holds(inner, path[1:]))
}

// validate calls the struct's Validate, if it has one.
func (s *stack) validate(v any) (err error) {
	checked, ok := v.(interface{ Validate() error })
	if !ok {
		return nil
	}
	defer func() {
		if r := recover(); r != nil {
			err = &Rejected{Reason: fmt.Sprintf("Validate panicked with a %T", r)}
		}
	}()
	if err := checked.Validate(); err != nil {
		return &Rejected{Reason: "Validate refuses the settings", Err: s.schema.scrubbed(err, v)}
	}
	return nil
}

// settle tries what is pending: all of it, and if that fails, that of the
// layer that changed alone. It returns the struct, and the layers whose
// pending content is in it and is good from now on.
func settle[T any](s *stack, changed *openLayer) (*T, []*openLayer, error) {
	all := new(T)
	err := s.decode(all, func(*openLayer) bool { return true })
	if err == nil {
		return all, s.promote(func(*openLayer) bool { return true }), nil
	}
	if changed == nil || !s.othersPending(changed) {
		return nil, nil, err
	}
	alone, only := new(T), func(l *openLayer) bool { return l == changed }
	if err := s.decode(alone, only); err != nil {
		return nil, nil, err
	}
	return alone, s.promote(only), nil
}

func (s *stack) othersPending(changed *openLayer) bool {
	for _, l := range s.layers {
		if l != changed && l.pending != nil {
			return true
		}
	}
	return false
}

func (s *stack) promote(which func(*openLayer) bool) []*openLayer {
	var promoted []*openLayer
	for _, l := range s.layers {
		if l.pending != nil && which(l) {
			l.good, l.pending = l.pending, nil
			promoted = append(promoted, l)
		}
	}
	return promoted
}

func (s *stack) close(ctx context.Context) error {
	var all []error
	for _, l := range s.layers {
		all = append(all, l.feed.close(ctx))
	}
	return errors.Join(all...)
}
