// Package format decodes the text formats of settings: YAML, JSON and TOML. The
// files of package config use it, and so can a provider whose backend keeps
// settings as one text.
//
// Nothing is converted silently. A number of JSON is a [json.Number], as it is
// written. A byte order mark of UTF-8 is skipped. A key that is given twice, and a
// second YAML document, are errors: a part of the settings would be ignored.
package format

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"regexp"
	"strings"
	"unicode/utf8"

	"github.com/knadh/koanf/parsers/toml/v2"
)

// Format is the encoding of a text.
type Format string

// The formats.
const (
	YAML Format = "yaml"
	JSON Format = "json"
	TOML Format = "toml"
)

// OfFile returns the format that the extension of a path names.
func OfFile(path string) (Format, bool) {
	switch strings.ToLower(filepath.Ext(path)) {
	case ".yaml", ".yml":
		return YAML, true
	case ".json":
		return JSON, true
	case ".toml":
		return TOML, true
	}
	return "", false
}

// Decode returns the settings in a text, in nested groups. Groups are
// map[string]any, lists are []any. A text of white space has no settings.
//
// An error reads as a predicate of the text ("is not well-formed, at line 3"). It
// contains no part of the text, which may be a secret.
func (f Format) Decode(text []byte) (map[string]any, error) {
	text, err := f.plainText(text)
	switch {
	case err != nil:
		return nil, err
	case len(bytes.TrimSpace(text)) == 0:
		return map[string]any{}, nil
	}
	v, err := f.decode(text)
	if err != nil {
		return nil, err
	}
	switch group := v.(type) {
	case nil:
		return map[string]any{}, nil
	case map[string]any:
		return group, nil
	case []any:
		return nil, errors.New("is a list; settings are a group of keys with values")
	}
	return nil, errors.New("is a single value; settings are a group of keys with values")
}

// DecodeJSON returns the value in a JSON text. It returns the same errors as
// [Format.Decode].
func DecodeJSON(text []byte) (any, error) {
	if err := checkUTF8(text); err != nil {
		return nil, err
	}
	return JSON.decode(text)
}

func (f Format) decode(text []byte) (v any, err error) {
	switch f {
	case YAML:
		v, err = decodeYAML(text)
	case JSON:
		v, err = decodeJSON(text)
	case TOML:
		v, err = decodeTOML(text)
	default:
		return nil, fmt.Errorf("has the format %q; accepted: yaml, json, toml", string(f))
	}
	var own problem
	if err != nil && !errors.As(err, &own) {
		err = problem("is not well-formed" + describeLine(err, text))
	}
	return v, err
}

// problem is an error that contains no part of the text.
type problem string

func (p problem) Error() string { return string(p) }

var (
	markUTF8    = []byte("\xef\xbb\xbf")
	marksUTF16  = [][]byte{[]byte("\xff\xfe"), []byte("\xfe\xff")}
	errNotUTF8  = problem("is not UTF-8 text; save it as UTF-8")
	errIsUTF16  = problem("is UTF-16 text; save it as UTF-8")
	errTwice    = "has a key twice in one group, at line %d"
	errDocument = problem("has more than one YAML document; keep the settings in one, or make a layer of each")
)

// plainText returns the text without a byte order mark. YAML may be UTF-16.
func (f Format) plainText(text []byte) ([]byte, error) {
	for _, mark := range marksUTF16 {
		if bytes.HasPrefix(text, mark) {
			if f == YAML {
				return text, nil
			}
			return nil, errIsUTF16
		}
	}
	text = bytes.TrimPrefix(text, markUTF8)
	return text, checkUTF8(text)
}

func checkUTF8(text []byte) error {
	if !utf8.Valid(text) {
		return errNotUTF8
	}
	return nil
}

func decodeTOML(text []byte) (any, error) {
	group, err := toml.Parser().Unmarshal(text)
	if err != nil || group == nil {
		return nil, err
	}
	return group, nil
}

// describeLine returns the line where a text is malformed, if its parser reports
// one. The parser's message is not used: it may quote the text, and so a secret.
func describeLine(err error, text []byte) string {
	var syntax *json.SyntaxError
	var positioned interface{ Position() (row, column int) }
	switch {
	case errors.As(err, &syntax):
		return fmt.Sprintf(", at line %d", lineAt(text, syntax.Offset))
	case errors.As(err, &positioned):
		row, _ := positioned.Position()
		return fmt.Sprintf(", at line %d", row)
	}
	if m := lineInText.FindString(err.Error()); m != "" {
		return ", at " + m
	}
	return ""
}

var lineInText = regexp.MustCompile(`\bline \d+`)

func lineAt(text []byte, offset int64) int {
	return 1 + bytes.Count(text[:min(int(offset), len(text))], []byte("\n"))
}
