package config

import (
	"fmt"
	"reflect"
	"regexp"
	"slices"
	"strings"
)

const (
	// secretOption of the tag marks a field whose value is shown nowhere.
	secretOption = "secret"
	// Redacted is what is shown in the place of a secret value.
	Redacted = "[secret]"
)

// Redact returns the fields of a struct by their keys, for a log, with
// [Redacted] in the place of those that the tag marks as secret. Nil pointers,
// maps and lists are left out.
func Redact(v any) map[string]any {
	rv := reflect.Indirect(reflect.ValueOf(v))
	if rv.Kind() != reflect.Struct {
		return nil
	}
	schema, _ := schemaOf(rv.Type()) // a bad tag is reported by Load
	return schema.mask(schema.plainFields(rv)).(map[string]any)
}

var secretName = regexp.MustCompile(`passw|pwd|secret|token|credential|apikey|accesskey|privatekey`)

// SecretName reports whether the name of a key, as "db/password" or
// "api-token", is that of a secret. It is for where there is no struct whose
// tags say so.
func SecretName(key string) bool { return secretName.MatchString(fold(key)) }

// secretChild reports whether a key of a group is secret, with all in it.
func (n *node) secretChild(key string) bool {
	if f := n.fields[fold(key)]; f != nil {
		return f.secret
	}
	return n.free != nil && SecretName(key)
}

// mask returns a copy of a value of the shape n that shows no secret.
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
		return Redacted // its parts cannot be told apart
	}
	return v
}

func (n *node) maskGroup(group map[string]any) map[string]any {
	out := make(map[string]any, len(group))
	for key, v := range group {
		name, child, known := n.child(key)
		switch {
		case !known:
		case n.secretChild(key):
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

// holdsSecret reports whether there is a secret field inside.
func (n *node) holdsSecret(met map[*node]bool) bool {
	if met[n] {
		return false
	}
	met[n] = true
	for _, f := range n.fields {
		if f.secret || f.node.holdsSecret(met) {
			return true
		}
	}
	return n.elem != nil && n.elem.holdsSecret(met)
}

// scrub replaces the secrets of a struct in a text that the program made.
func (n *node) scrub(text string, v any) string {
	if !n.holdsSecret(map[*node]bool{}) {
		return text
	}
	all := n.secrets(reflect.Indirect(reflect.ValueOf(v)), false)
	slices.SortFunc(all, func(a, b string) int { return len(b) - len(a) }) // one may be a part of another
	for _, secret := range all {
		text = strings.ReplaceAll(text, secret, Redacted)
	}
	return text
}

// secrets returns the texts of all secret values in v, as far as there are
// any.
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
		for _, form := range []string{"%v", "%s"} { // a []byte has two texts
			if text := fmt.Sprintf(form, v.Interface()); text != "" && !strings.HasPrefix(text, "%!") {
				all = append(all, text)
			}
		}
	}
	return all
}

// scrubbed returns an error as it is, but for the secrets in its text.
func (n *node) scrubbed(err error, v any) error {
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
func (e scrubbedError) Unwrap() error { return e.err }
