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

// Origin is what one layer says about a key.
type Origin struct {
	Layer string // as in [LayerHealth]
	Index int    // of the layer among the given ones, from 0; 0 if Default
	// Default is true if the value comes from the struct's default tags, which
	// lie below all layers.
	Default bool
	Value   string // as text; lists and groups as JSON; [Redacted] for a secret
	Wins    bool   // whether this is the value that holds
	// Rejected: the layer's present content says so, and is not applied. The
	// layer may be there a second time, with what it said before.
	Rejected bool
}

func (o Origin) sameLayer(p Origin) bool { return o.Index == p.Index && o.Default == p.Default }

// String returns a line: the value, whose it is, and who is below.
func (e Explanation) String() string {
	line, rest := e.Key+" has its zero value", []string{}
	for _, o := range e.Origins {
		switch {
		case o.Wins:
			line = fmt.Sprintf("%s = %s, from %s", e.Key, o.Value, o.Layer)
		case o.Rejected:
			rest = append(rest, fmt.Sprintf("%s says %s, which is rejected", o.Layer, o.Value))
		default:
			rest = append(rest, fmt.Sprintf("%s says %s", o.Layer, o.Value))
		}
	}
	return strings.Join(append([]string{line}, rest...), "; ")
}

// Explain reads the layers once and says where the value of a key comes from,
// or for a group (the empty key is that of all) those of its keys, in order.
// Unlike [Load], it neither decodes nor validates, so that it helps when that
// fails.
//
// T is the struct, whose tags say what is secret. With T any there is none:
// keys are spelled as in the first layer that has them, and [SecretName] says
// what is secret.
//
// Errors: Invalid for a key that no field has (with T any: that no layer has);
// those of [Load] for layers that cannot be read.
func Explain[T any](ctx context.Context, key string, opts ...Option) ([]Explanation, error) {
	all, err := explain(ctx, reflect.TypeFor[T](), key, opts)
	return all, invalid(err, "config.Explain")
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
	st.promote(func(*openLayer) bool { return true })
	found := st.origins()
	found.reveal = set.reveal
	all, err := found.explain(key)
	if closeErr := st.close(ctx); err == nil {
		err = closeErr
	}
	return all, err
}

// Explain says where the value of a key comes from, or for a group (the empty
// key is that of all) those of its keys, in order. It tells of the settings
// that Get returns, and of what is rejected at present.
//
// Errors: Invalid for a key that no field has.
func (w *Watcher[T]) Explain(key string) ([]Explanation, error) {
	all, err := w.origins.Load().explain(key)
	return all, invalid(err, "config.Explain")
}

// origins is what the layers held at one time. It is never changed.
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
		o.contents = append(o.contents, layerContent{index: i, layer: l.feed.name(), values: l.good})
		if l.pending != nil {
			o.contents = append(o.contents, layerContent{index: i, layer: l.feed.name(), values: l.pending, rejected: true})
		}
	}
	return o
}

// Reveal makes the function [Explain] show secrets, for a tool whose user asks
// for them. Nothing else heeds it.
func Reveal() Option {
	return optionFunc(func(s *setup) error { s.reveal = true; return nil })
}

func (o *origins) explain(key string) ([]Explanation, error) {
	path, shape, open, err := o.resolve(key)
	if err != nil {
		return nil, err
	}
	found := map[string]*finding{}
	for _, c := range o.contents {
		o.collect(c, path, found)
	}
	switch {
	case len(found) > 0 || shape.group() || key == "":
	case open:
		return nil, fairlead.Errorf(fairlead.Invalid, "no layer has the key %q", key)
	default:
		found[key] = &finding{Explanation: Explanation{Key: strings.Join(path, "."), Secret: o.schema.secretPath(path)}}
	}
	all := []Explanation{}
	for _, at := range slices.Sorted(maps.Keys(found)) {
		found[at].settleWinner()
		all = append(all, found[at].Explanation)
	}
	return all, nil
}

// resolve returns the canonical parts of a key, the shape of what it names, and
// whether that is there only if a layer has it, as a key of a map.
func (o *origins) resolve(key string) (path []string, n *node, open bool, err error) {
	n = o.schema
	if key == "" {
		return nil, n, false, nil
	}
	for _, part := range splitKey(key) {
		if n.list {
			return nil, nil, false, fairlead.Errorf(fairlead.Invalid, "the key %q is inside of a list, which is one value; ask for the list", key)
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

// collect adds what a layer says about the key at path, and about those in it.
func (o *origins) collect(c layerContent, path []string, found map[string]*finding) {
	var v any = c.values
	n := o.schema
	for _, part := range path {
		group, ok := v.(map[string]any)
		if !ok {
			return
		}
		if v, ok = group[part]; !ok {
			return
		}
		_, n, _ = n.child(part)
	}
	o.leaves(c, path, v, n, found)
}

// leaves adds what a layer says in v, which is at path.
func (o *origins) leaves(c layerContent, path []string, v any, n *node, found map[string]*finding) {
	if group, ok := v.(map[string]any); ok {
		for key, inner := range group {
			_, child, _ := n.child(key)
			o.leaves(c, append(path[:len(path):len(path)], key), inner, child, found)
		}
		return
	}
	key := strings.Join(path, ".")
	f := cmp.Or(found[key], &finding{Explanation: Explanation{Key: key, Secret: o.schema.secretPath(path)}})
	found[key] = f
	text := Redacted
	switch {
	case o.reveal:
		text = textOf(v)
	case !f.Secret:
		text = textOf(n.mask(v))
	}
	f.add(Origin{Layer: c.layer, Index: c.index, Default: c.isTags, Value: text, Rejected: c.rejected}, v)
}

// finding is an explanation in the making.
type finding struct {
	Explanation
	last any // what the last origin says, secret or not
}

// add adds an origin, unless it is rejected content that says the same as what
// is applied of the same layer.
func (f *finding) add(o Origin, v any) {
	if n := len(f.Origins); o.Rejected && n > 0 && f.Origins[n-1].sameLayer(o) && reflect.DeepEqual(f.last, v) {
		return
	}
	f.Origins, f.last = append(f.Origins, o), v
}

// settleWinner marks the most important of the origins that are applied.
func (f *finding) settleWinner() {
	for i := len(f.Origins) - 1; i >= 0; i-- {
		if !f.Origins[i].Rejected {
			f.Origins[i].Wins = true
			return
		}
	}
}

// secretPath reports whether the key at a path, or a group around it, is
// secret.
func (n *node) secretPath(path []string) bool {
	for _, part := range path {
		if n.secretChild(part) {
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
