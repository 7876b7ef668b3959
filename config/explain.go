package config

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"

	"fairlead.dev"
)

// Explanation says where the value of a key comes from.
type Explanation struct {
	Key    string // with "." between its parts
	Secret bool   // no value of it is shown
	// Origins are the layers that have the key, the least important first. If
	// there are none, the field has the zero value of its type.
	Origins []Origin
}

// Origin is the value of a key in one layer.
type Origin struct {
	Layer string // as in [LayerHealth]
	Index int    // of the layer among the given ones, from 0; 0 if Default
	// Default is true if the value comes from the struct's default tags, which
	// lie below all layers.
	Default bool
	Value   string // as text; lists and groups as JSON; [Redacted] for a secret
	Wins    bool   // this is the value that applies
	// Rejected is true if this value is in the layer's present content, which
	// was rejected. Another origin of the same layer may have its value before.
	Rejected bool
}

func (o Origin) sameLayer(p Origin) bool { return o.Index == p.Index && o.Default == p.Default }

// String returns one line: the value, its layer, the values that it overrides,
// and the values that were rejected.
func (e Explanation) String() string {
	line, rest := e.Key+" has its zero value", []string{}
	for _, o := range e.Origins {
		switch {
		case o.Wins:
			line = fmt.Sprintf("%s = %s, from %s", e.Key, o.Value, o.Layer)
		case o.Rejected:
			rest = append(rest, fmt.Sprintf("%s from %s is rejected", o.Value, o.Layer))
		default:
			rest = append(rest, fmt.Sprintf("overrides %s from %s", o.Value, o.Layer))
		}
	}
	return strings.Join(append([]string{line}, rest...), "; ")
}

// Explain reads the layers once and explains the value of a key, or, if the key
// names a group, the values of the group's keys, in order. The empty key names
// the group of all keys. Unlike [Load], Explain neither decodes nor validates, so
// that it works for settings that Load rejects.
//
// T is the struct; its tags mark the secrets. If T is any, there is no struct:
// keys are spelled as in the first layer that has them, and [SecretName] decides
// what is secret.
//
// Errors: Invalid for a key that no field has (with T any: that no layer has);
// the errors of [Load] for layers that cannot be read.
func Explain[T any](ctx context.Context, key string, opts ...Option) ([]Explanation, error) {
	all, err := explain(ctx, reflect.TypeFor[T](), key, opts)
	return all, annotateRejected(err, "config.Explain")
}

func explain(ctx context.Context, t reflect.Type, key string, opts []Option) ([]Explanation, error) {
	set, err := newSetup(opts)
	if err != nil {
		return nil, err
	}
	st := &stack{schema: &node{free: map[string]string{}}}
	if t != reflect.TypeFor[any]() {
		if st, err = newStack(t, set.strict); err != nil {
			return nil, err
		}
	}
	if err := set.openInto(ctx, st); err != nil {
		return nil, err
	}
	st.markApplied(func(*openLayer) bool { return true })
	found := st.origins()
	found.reveal = set.reveal
	all, err := found.explain(key)
	if closeErr := st.close(ctx); err == nil {
		err = closeErr
	}
	return all, err
}

// Explain explains the value of a key, or, if the key names a group, the values
// of the group's keys, in order. The empty key names the group of all keys. It
// explains the settings that Get returns, and includes the values that are
// rejected at present.
//
// Errors: Invalid for a key that no field has.
func (w *Watcher[T]) Explain(key string) ([]Explanation, error) {
	all, err := w.origins.Load().explain(key)
	return all, annotateRejected(err, "config.Explain")
}

// origins is the content of the layers at one time. It is never changed.
type origins struct {
	schema   *node
	reveal   bool
	contents []layerContent // the least important first
}

type layerContent struct {
	index    int
	isTags   bool // the struct's default tags
	layer    string
	values   map[string]any
	rejected bool
}

func (s *stack) origins() *origins {
	o := &origins{schema: s.schema, contents: []layerContent{{isTags: true, layer: tagsLayer, values: s.defaults}}}
	for i, l := range s.layers {
		o.contents = append(o.contents, layerContent{index: i, layer: l.feed.name(), values: l.applied})
		if l.pending != nil {
			o.contents = append(o.contents, layerContent{index: i, layer: l.feed.name(), values: l.pending, rejected: true})
		}
	}
	return o
}

// Reveal makes the function [Explain] show secrets, for a tool whose user asks
// for them. It has no other effect.
func Reveal() Option {
	return optionFunc(func(s *setup) error { s.reveal = true; return nil })
}

func (o *origins) explain(key string) ([]Explanation, error) {
	asked := askedPath(key)
	found := map[string]*finding{}
	for _, c := range o.contents {
		o.addLeaves(c, asked, nil, c.values, o.schema, found)
	}
	if len(found) == 0 && key != "" {
		return o.explainUnset(key)
	}
	all := []Explanation{}
	for _, at := range slices.Sorted(maps.Keys(found)) {
		found[at].markWinner()
		all = append(all, found[at].Explanation)
	}
	return all, nil
}

// askedPath returns the parts of a key, and none for the empty key.
func askedPath(key string) []string {
	if key == "" {
		return nil
	}
	return splitKey(key)
}

// explainUnset explains a key that no layer has.
func (o *origins) explainUnset(key string) ([]Explanation, error) {
	path, shape, open, err := o.resolve(key)
	switch {
	case err != nil:
		return nil, err
	case shape.group():
		return []Explanation{}, nil
	case open:
		return nil, fairlead.Errorf(fairlead.Invalid, "no layer has the key %q", key)
	}
	return []Explanation{{Key: strings.Join(path, "."), Secret: o.schema.isSecretPath(path)}}, nil
}

// resolve returns the canonical parts of a key and the shape of its value. It is
// open if the key exists only where a layer has it, for example a key of a map.
func (o *origins) resolve(key string) (path []string, n *node, open bool, err error) {
	n = o.schema
	if key == "" {
		return nil, n, false, nil
	}
	for _, part := range splitKey(key) {
		if n.list {
			return nil, nil, false, fairlead.Errorf(fairlead.Invalid, "the key %q is inside a list, which is one value; ask for the list", key)
		}
		name, child, known := n.child(part)
		if !known {
			return nil, nil, false, fairlead.Errorf(fairlead.Invalid, "the struct has no field for the key %q", key)
		}
		open = open || !n.group()
		path, n = append(path, name), child
	}
	return path, n, open, nil
}

// covers reports whether the asked key is the canonical path, or a group around
// it. A part of the path that is a key of a map may have separators in it.
func (n *node) covers(asked, path []string) bool {
	for _, part := range path {
		pieces := []string{part}
		if n.fields == nil {
			pieces = splitKey(part)
		}
		for i, piece := range pieces {
			switch exact := n.fields == nil && n.free == nil; {
			case len(asked) == 0:
				return i == 0 || !exact // a part of a map's key is no group
			case piece != asked[0] && (exact || fold(piece) != fold(asked[0])):
				return false
			}
			asked = asked[1:]
		}
		_, n, _ = n.child(part)
	}
	return len(asked) == 0
}

// addLeaves adds the values in v, which a layer has at path, if the asked key
// covers them.
func (o *origins) addLeaves(c layerContent, asked, path []string, v any, n *node, found map[string]*finding) {
	if group, ok := v.(map[string]any); ok {
		for _, key := range slices.Sorted(maps.Keys(group)) {
			_, child, _ := n.child(key)
			o.addLeaves(c, asked, append(path[:len(path):len(path)], key), group[key], child, found)
		}
		return
	}
	if !o.schema.covers(asked, path) {
		return
	}
	key := strings.Join(path, ".")
	f := cmp.Or(found[key], &finding{Explanation: Explanation{Key: key, Secret: o.schema.isSecretPath(path)}})
	found[key] = f
	text := Redacted
	switch {
	case o.reveal:
		text = textOf(v)
	case !f.Secret:
		text = textOf(n.mask(v))
	}
	f.addOrigin(Origin{Layer: c.layer, Index: c.index, Default: c.isTags, Value: text, Rejected: c.rejected}, v)
}

// finding is an explanation that is not complete.
type finding struct {
	Explanation
	last any // the value of the last origin, even if it is secret
}

// addOrigin adds an origin. It skips a rejected value that equals the applied
// value of the same layer.
func (f *finding) addOrigin(o Origin, v any) {
	if n := len(f.Origins); o.Rejected && n > 0 && f.Origins[n-1].sameLayer(o) && reflect.DeepEqual(f.last, v) {
		return
	}
	f.Origins, f.last = append(f.Origins, o), v
}

// markWinner marks the most important origin that is not rejected.
func (f *finding) markWinner() {
	for i := len(f.Origins) - 1; i >= 0; i-- {
		if !f.Origins[i].Rejected {
			f.Origins[i].Wins = true
			return
		}
	}
}

// isSecretPath reports whether the key at a path, or a group around it, is
// secret.
func (n *node) isSecretPath(path []string) bool {
	for _, part := range path {
		if n.isSecretChild(part) {
			return true
		}
		_, n, _ = n.child(part)
		if n == nil {
			return false
		}
	}
	return false
}

// textOf returns a value as a person would write it.
func textOf(v any) string {
	switch v := v.(type) {
	case string:
		return v
	case []byte:
		return string(v)
	case fmt.Stringer:
		return v.String()
	}
	if text, err := json.Marshal(v); err == nil {
		return string(text)
	}
	return fmt.Sprint(v)
}
