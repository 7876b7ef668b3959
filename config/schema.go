package config

import (
	"encoding"
	"reflect"
	"strings"
	"time"

	"fairlead.dev"
	"fairlead.dev/config/driver/format"
)

// tagName is the struct tag with the name of a field's key and its options.
const tagName = "config"

// node is the shape of a type: a group with fields, a list or map of elements,
// or a leaf, which has neither.
type node struct {
	fields map[string]*field // by folded name
	elem   *node             // of a list or a map
	list   bool              // a list, not a map
	free   map[string]string // without a struct: the first spelling of each folded key
}

type field struct {
	name      string // the key's canonical part, which the decoder looks for
	index     []int
	node      *node
	byDefault string
	defaulted bool
	secret    bool
}

func (n *node) group() bool { return n.fields != nil }

// schemaOf returns the shape of a type, or what is wrong with its tags.
func schemaOf(t reflect.Type) (*node, error) {
	b := schemaBuilder{known: map[reflect.Type]*node{}}
	n := b.node(t)
	return n, b.problem
}

// schemaBuilder remembers the shapes of types, so that types may contain
// themselves.
type schemaBuilder struct {
	known   map[reflect.Type]*node
	problem error // the first bad tag
}

func (b *schemaBuilder) node(t reflect.Type) *node {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if n, ok := b.known[t]; ok {
		return n
	}
	n := &node{}
	b.known[t] = n
	switch {
	case isLeaf(t):
	case t.Kind() == reflect.Struct:
		n.fields = map[string]*field{}
		b.addFields(n, t, nil, false)
	case t.Kind() == reflect.Map && t.Key().Kind() == reflect.String,
		t.Kind() == reflect.Slice && t.Elem().Kind() != reflect.Uint8:
		n.elem, n.list = b.node(t.Elem()), t.Kind() == reflect.Slice
	}
	return n
}

var textUnmarshaler = reflect.TypeFor[encoding.TextUnmarshaler]()

// isLeaf reports whether values of a type are written as one text.
func isLeaf(t reflect.Type) bool {
	return t == reflect.TypeFor[time.Time]() || reflect.PointerTo(t).Implements(textUnmarshaler)
}

// addFields adds the fields of the struct t to n. The struct is at index in n's
// struct. If it is secret, all its fields are.
func (b *schemaBuilder) addFields(n *node, t reflect.Type, index []int, secret bool) {
	for f := range t.Fields() {
		name, own := b.parseTag(t, f)
		at := append(index[:len(index):len(index)], f.Index...)
		switch {
		case name == "-":
		case f.Anonymous && f.Type.Kind() == reflect.Struct && !isLeaf(f.Type):
			b.addFields(n, f.Type, at, secret || own)
		case f.IsExported():
			byDefault, defaulted := f.Tag.Lookup("default")
			n.fields[fold(name)] = &field{name, at, b.node(f.Type), byDefault, defaulted, secret || own}
		}
	}
}

// parseTag returns the name in a field's tag, and whether the field is secret.
func (b *schemaBuilder) parseTag(t reflect.Type, f reflect.StructField) (name string, secret bool) {
	name, options, _ := strings.Cut(f.Tag.Get(tagName), ",")
	if name == "" {
		name = f.Name
	}
	if strings.ContainsAny(name, "./") && b.problem == nil {
		b.problem = fairlead.Errorf(fairlead.Invalid,
			"the tag %s:%q of the field %s of %s has a separator in the name; write a part without \".\" and \"/\", and nest structs for groups", tagName, f.Tag.Get(tagName), f.Name, t)
	}
	switch {
	case options == secretOption:
		return name, true
	case options != "" && b.problem == nil:
		b.problem = fairlead.Errorf(fairlead.Invalid,
			"the tag %s:%q of the field %s of %s has the option %q; accepted: %s", tagName, f.Tag.Get(tagName), f.Name, t, options, secretOption)
	}
	return name, false
}

var foldOut = strings.NewReplacer("_", "", "-", "")

// fold returns the form that all spellings of a name have in common.
func fold(name string) string { return foldOut.Replace(strings.ToLower(name)) }

// tagDefaults returns the values of the default tags. It skips groups that are
// pointers, so that they stay nil until a layer sets a key in them.
func (n *node) tagDefaults(t reflect.Type) map[string]any {
	values := map[string]any{}
	for _, f := range n.fields {
		ft := t.FieldByIndex(f.index).Type
		switch {
		case f.defaulted:
			values[f.name] = f.byDefault
		case f.node.group() && ft.Kind() == reflect.Struct:
			values[f.name] = f.node.tagDefaults(ft)
		}
	}
	return values
}

// plain returns a typed value with its groups as map[string]any. It returns false
// for a nil pointer, map, list or interface, which sets no key.
func (n *node) plain(v reflect.Value) (any, bool) {
	for v.Kind() == reflect.Pointer && !v.IsNil() {
		v = v.Elem()
	}
	switch k := v.Kind(); {
	case (k == reflect.Pointer || k == reflect.Map || k == reflect.Slice || k == reflect.Interface) && v.IsNil():
		return nil, false
	case n.group():
		return n.plainFields(v), true
	case n.elem != nil && !n.list:
		return n.plainMap(v), true
	}
	return plainLeaf(v), true
}

// plainLeaf returns a value whose copies are equal to it: a value with parts that
// a copy by reflection loses becomes its text.
func plainLeaf(v reflect.Value) any {
	if m, ok := v.Interface().(encoding.TextMarshaler); ok && isLeaf(v.Type()) {
		if text, err := m.MarshalText(); err == nil {
			return string(text)
		}
	}
	return v.Interface()
}

func (n *node) plainFields(v reflect.Value) map[string]any {
	values := map[string]any{}
	for _, f := range n.fields {
		if p, ok := f.node.plain(v.FieldByIndex(f.index)); ok {
			values[f.name] = p
		}
	}
	return values
}

func (n *node) plainMap(v reflect.Value) map[string]any {
	values := map[string]any{}
	for key, element := range v.Seq2() {
		if p, ok := n.elem.plain(element); ok {
			values[key.String()] = p
		}
	}
	return values
}

// conflict takes the place of a key that a layer has more than once: in different
// spellings, or as a group and as a value.
type conflict struct{}

// canon rewrites the keys of one layer's content to their canonical spelling.
type canon struct{ strict bool }

// value returns v, which is at path, in the shape of n.
func (c canon) value(path string, v any, n *node) (any, error) {
	if _, twice := v.(conflict); twice {
		return nil, &Rejected{Key: path, Reason: "is given more than once: in several spellings, or as a value and as a group"}
	}
	if text, ok := v.(string); ok && (n.group() || n.elem != nil) {
		var err error
		if v, err = parseText(path, text, n); err != nil {
			return nil, err
		}
	}
	switch v := v.(type) {
	case map[string]any:
		return c.group(path, v, n)
	case []any:
		return c.list(path, v, n)
	}
	if k := reflect.ValueOf(v).Kind(); n.group() && k != reflect.Map && k != reflect.Struct {
		return nil, &Rejected{Key: path, Reason: "is a value; the struct has a group of keys there"}
	}
	return v, nil
}

func (c canon) group(path string, given map[string]any, n *node) (map[string]any, error) {
	out := make(map[string]any, len(given))
	for key, v := range given {
		name, child, known := n.child(key)
		at := join(path, key)
		switch _, twice := out[name]; {
		case v == nil: // null counts as absent
			continue
		case !known && c.strict:
			return nil, &Rejected{Key: at, Reason: unknownReason(key)}
		case !known:
			continue
		case twice:
			v = conflict{}
		}
		v, err := c.value(join(path, name), v, child)
		if err != nil {
			return nil, err
		}
		out[name] = v
	}
	return out, nil
}

func unknownReason(key string) string {
	const reason = "is unknown; the struct has no such field"
	if strings.ContainsAny(key, "./") {
		return reason + "; a file has groups in place of a key with a separator"
	}
	return reason
}

func (c canon) list(path string, given []any, n *node) (any, error) {
	if n.elem == nil {
		return given, nil
	}
	out := make([]any, len(given))
	for i, v := range given {
		var err error
		if out[i], err = c.value(path, v, n.elem); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// child returns the canonical name of a key and the shape of its value. A leaf
// accepts every key: the decoder then reports a group where a value should be.
func (n *node) child(key string) (string, *node, bool) {
	switch f := n.fields[fold(key)]; {
	case f != nil:
		return f.name, f.node, true
	case n.group():
		return key, nil, false
	case n.free != nil:
		return n.spelling(key), n, true
	case n.elem != nil:
		return key, n.elem, true
	}
	return key, n, true
}

// spelling returns the first spelling of a key.
func (n *node) spelling(key string) string {
	first, met := n.free[fold(key)]
	if !met {
		n.free[fold(key)], first = key, key
	}
	return first
}

// parseText returns the list or group in a text: JSON, or, for a list, items
// separated by commas.
func parseText(path, text string, n *node) (any, error) {
	trimmed := strings.TrimSpace(text)
	if n.list && !strings.HasPrefix(trimmed, "[") {
		return splitList(trimmed), nil
	}
	v, err := format.DecodeJSON([]byte(trimmed))
	if err != nil {
		return nil, &Rejected{Key: path, Reason: "is a group or a list, and its JSON " + err.Error()}
	}
	return v, nil
}

func splitList(text string) []any {
	items := []any{}
	if text == "" {
		return items
	}
	for item := range strings.SplitSeq(text, ",") {
		items = append(items, strings.TrimSpace(item))
	}
	return items
}

func join(path, key string) string {
	if path == "" {
		return key
	}
	return path + "." + key
}
