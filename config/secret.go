package config

import (
	"cmp"
	"fmt"
	"reflect"
	"slices"
	"strings"
)

const (
	// secretOption of the tag marks a field whose value is never shown.
	secretOption = "secret"
	// Redacted is shown in place of a secret value.
	Redacted = "[secret]"
)

// Redact returns the fields of a struct by their keys, for a log. Fields that the
// tag marks as secret are [Redacted], and passwords in URLs, as by [RedactValue]. Nil pointers, maps and lists are left out.
func Redact(v any) map[string]any {
	rv := reflect.Indirect(reflect.ValueOf(v))
	if rv.Kind() != reflect.Struct {
		return nil
	}
	schema, _ := schemaOf(rv.Type()) // a bad tag is reported by Load
	return schema.mask(schema.plainFields(rv)).(map[string]any)
}

// isSecretChild reports whether a key of a group, and everything in it, is secret.
func (n *node) isSecretChild(key string) bool {
	if f := n.fields[fold(key)]; f != nil {
		return f.secret
	}
	return n.free != nil && SecretName(key)
}

// mask returns a copy of a value of the shape n with its secrets redacted.
func (n *node) mask(v any) any {
	switch v := v.(type) {
	case map[string]any:
		return n.maskGroup(v)
	case []any:
		out := make([]any, len(v))
		for i, item := range v {
			out[i] = n.element().mask(item)
		}
		return out
	}
	if n.holdsSecret(map[*node]bool{}) {
		return Redacted // its parts cannot be separated
	}
	if text, ok := v.(string); ok {
		return redactText(text)
	}
	return v
}

func (n *node) maskGroup(group map[string]any) map[string]any {
	out := make(map[string]any, len(group))
	for key, v := range group {
		name, child, known := n.child(key)
		switch {
		case !known:
		case n.isSecretChild(key):
			out[name] = Redacted
		default:
			out[name] = child.mask(v)
		}
	}
	return out
}

// element returns the shape of the items of a list.
func (n *node) element() *node {
	if n.elem != nil {
		return n.elem
	}
	return n
}

// holdsSecret reports whether there is a secret field in n.
func (n *node) holdsSecret(visited map[*node]bool) bool {
	if visited[n] {
		return false
	}
	visited[n] = true
	for _, f := range n.fields {
		if f.secret || f.node.holdsSecret(visited) {
			return true
		}
	}
	return n.elem != nil && n.elem.holdsSecret(visited)
}

// scrub redacts the secrets of the struct v in a text.
func (n *node) scrub(text string, v any) string {
	if !n.holdsSecret(map[*node]bool{}) {
		return text
	}
	all := n.secrets(reflect.Indirect(reflect.ValueOf(v)), false)
	slices.SortFunc(all, func(a, b string) int { // one may contain another
		return cmp.Or(len(b)-len(a), strings.Compare(a, b))
	})
	for _, secret := range slices.Compact(all) {
		text = strings.ReplaceAll(text, secret, Redacted)
	}
	return text
}

// secrets returns the texts of all secret values in v.
func (n *node) secrets(v reflect.Value, inSecret bool) (all []string) {
	v = reflect.Indirect(v)
	switch {
	case !v.IsValid():
	case n.group() && v.Kind() == reflect.Struct:
		for _, f := range n.fields {
			all = append(all, f.node.secrets(v.FieldByIndex(f.index), inSecret || f.secret)...)
		}
	case n.elem != nil && (v.Kind() == reflect.Slice || v.Kind() == reflect.Map):
		for _, element := range v.Seq2() {
			all = append(all, n.elem.secrets(element, inSecret)...)
		}
	case inSecret:
		all = append(all, secretTexts(v)...)
	}
	return all
}

// scrubError returns an error with the secrets of v redacted in its text.
func (n *node) scrubError(err error, v any) error {
	if text := n.scrub(err.Error(), v); text != err.Error() {
		return scrubbedError{text, err}
	}
	return err
}

type scrubbedError struct {
	text string
	err  error
}

func (e scrubbedError) Error() string { return e.text }

// GoString implements [fmt.GoStringer]: %#v prints no field of the cause.
func (e scrubbedError) GoString() string { return fmt.Sprintf("%q", e.text) }
func (e scrubbedError) Unwrap() error    { return e.err }
