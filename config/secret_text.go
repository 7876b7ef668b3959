package config

import (
	"encoding"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/url"
	"reflect"
	"strconv"
	"strings"
)

// secretTexts returns the texts in which a secret may occur in another text: printed
// with any verb, quoted, in JSON, or escaped in a URL.
func secretTexts(v reflect.Value) []string {
	var all []string
	add := func(text string) {
		if text != "" && !strings.HasPrefix(text, "%!") {
			all = append(all, escapedForms(text)...)
		}
	}
	add(fmt.Sprintf("%v", v.Interface()))
	add(fmt.Sprintf("%s", v.Interface())) // a []byte has two texts
	for _, part := range stringsIn(v, 0) {
		add(part)
	}
	pointer := reflect.New(v.Type())
	pointer.Elem().Set(v)
	switch own := pointer.Interface().(type) {
	case fmt.Stringer:
		add(own.String())
	case encoding.TextMarshaler:
		if text, err := own.MarshalText(); err == nil {
			add(string(text))
		}
	}
	if v.Kind() == reflect.Slice && v.Type().Elem().Kind() == reflect.Uint8 && v.Len() > 0 {
		b := v.Bytes()
		goSyntax := strings.TrimPrefix(fmt.Sprintf("%#v", b), "[]byte") // in a struct, []uint8
		all = append(all, goSyntax, base64.StdEncoding.EncodeToString(b), base64.RawStdEncoding.EncodeToString(b), base64.URLEncoding.EncodeToString(b))
	}
	return all
}

// leastPart is the length from which a part of a secret struct is redacted by
// itself: the struct's error may print the part.
const leastPart = 3

// stringsIn returns the strings in the fields of a struct, to some depth.
func stringsIn(v reflect.Value, depth int) (all []string) {
	v = reflect.Indirect(v)
	if !v.IsValid() || v.Kind() != reflect.Struct || depth > 5 {
		return nil
	}
	for i := range v.NumField() {
		if f := v.Field(i); f.Kind() == reflect.String && len(f.String()) >= leastPart {
			all = append(all, f.String())
		} else {
			all = append(all, stringsIn(f, depth+1)...)
		}
	}
	return all
}

// escapedForms returns a text as it is, and as it is in quotes, in JSON, in a URL
// and in hexadecimal, each without what surrounds it.
func escapedForms(text string) []string {
	forms := []string{
		text, inQuotes(strconv.Quote(text)), inQuotes(strconv.QuoteToASCII(text)), inQuotes(strconv.QuoteToGraphic(text)),
		url.QueryEscape(text), url.PathEscape(text), url.UserPassword("", text).String()[1:],
		hex.EncodeToString([]byte(text)), strings.ToUpper(hex.EncodeToString([]byte(text))),
	}
	if b, err := json.Marshal(text); err == nil {
		forms = append(forms, inQuotes(string(b)))
	}
	var plain strings.Builder
	encoder := json.NewEncoder(&plain)
	encoder.SetEscapeHTML(false)
	if encoder.Encode(text) == nil {
		forms = append(forms, inQuotes(strings.TrimSuffix(plain.String(), "\n")))
	}
	return forms
}

// inQuotes returns what is between the first and the last character.
func inQuotes(quoted string) string { return quoted[1 : len(quoted)-1] }
