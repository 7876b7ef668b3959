package format_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"fairlead.dev/config/driver/format"
)

const bom = "\xef\xbb\xbf"

func TestDecode(t *testing.T) {
	nested := map[string]any{"a": map[string]any{"b": "c"}, "list": []any{map[string]any{"x": "y"}}}
	for name, c := range map[string]struct {
		format format.Format
		text   string
		want   map[string]any
	}{
		"YAML":                    {format.YAML, "a: {b: c}\nlist: [{x: y}]", nested},
		"JSON":                    {format.JSON, `{"a": {"b": "c"}, "list": [{"x": "y"}]}`, nested},
		"TOML":                    {format.TOML, "list = [{x = 'y'}]\n[a]\nb = 'c'", nested},
		"YAML with a mark":        {format.YAML, bom + "a: {b: c}\nlist: [{x: y}]", nested},
		"JSON with a mark":        {format.JSON, bom + `{"a": {"b": "c"}, "list": [{"x": "y"}]}`, nested},
		"TOML with a mark":        {format.TOML, bom + "list = [{x = 'y'}]\n[a]\nb = 'c'", nested},
		"YAML in UTF-16":          {format.YAML, "\xff\xfea\x00:\x00 \x00b\x00\n\x00", map[string]any{"a": "b"}},
		"a mark only":             {format.JSON, bom, map[string]any{}},
		"nothing":                 {format.TOML, " \n", map[string]any{}},
		"null":                    {format.JSON, "null", map[string]any{}},
		"a comment only":          {format.YAML, "# nothing", map[string]any{}},
		"numbers as written":      {format.JSON, `{"a": 9007199254740993, "b": 1.50, "c": 1e3}`, map[string]any{"a": json.Number("9007199254740993"), "b": json.Number("1.50"), "c": json.Number("1e3")}},
		"keys of other types":     {format.YAML, "1: a\ntrue: {2: b}", map[string]any{"1": "a", "true": map[string]any{"2": "b"}}},
		"keys with dots":          {format.YAML, "a.b: c", map[string]any{"a.b": "c"}},
		"an empty first document": {format.YAML, "---\n---\na: b\n---\n", map[string]any{"a": "b"}},
	} {
		got, err := c.format.Decode([]byte(c.text))
		if diff := cmp.Diff(c.want, got); diff != "" || err != nil {
			t.Errorf("%s: %v\n%s", name, err, diff)
		}
	}
}

func TestDecodeRefuses(t *testing.T) {
	for name, c := range map[string]struct {
		format format.Format
		text   string
		says   string
	}{
		"two documents":             {format.YAML, "a: b\n---\nc: d", "more than one YAML document"},
		"a malformed second one":    {format.YAML, "a: b\n---\nc: [", "not well-formed"},
		"two keys in JSON":          {format.JSON, "{\"a\": 1,\n\"a\": 2}", "a key twice in one group, at line 2"},
		"two keys in YAML":          {format.YAML, "a: 1\na: 2", "not well-formed, at line 2"},
		"two keys of two types":     {format.YAML, "1: a\n1.0: b", "a key twice"},
		"two values":                {format.JSON, "{} {}", "not well-formed"},
		"half an object":            {format.JSON, "{\n\"a\": {", "not well-formed, at line 2"},
		"nested beyond all reason":  {format.JSON, strings.Repeat("[", 1<<20), "not well-formed"},
		"a list":                    {format.JSON, "[1]", "is a list; settings are a group"},
		"a list in YAML":            {format.YAML, "- 1", "is a list"},
		"a value":                   {format.YAML, "text", "is a single value"},
		"UTF-16":                    {format.JSON, "\xff\xfe{\x00}\x00", "UTF-16"},
		"UTF-16, the other way":     {format.TOML, "\xfe\xff\x00a\x00=\x001", "UTF-16"},
		"another encoding":          {format.JSON, "{\"a\": \"\xe4\"}", "not UTF-8"},
		"another encoding, in YAML": {format.YAML, "a: \xe4", "not UTF-8"},
		"no format":                 {"ini", "a=1", "accepted: yaml, json, toml"},
	} {
		got, err := c.format.Decode([]byte(c.text))
		if err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: got %v, %v", name, got, err)
		}
	}
}

func FuzzDecode(f *testing.F) {
	for _, text := range []string{"a: b", `{"a": [1, {"b": null}]}`, "[a]\nb = 1", bom, "---\na: 1\n---\n", "{1: {x: y}}"} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		for _, one := range []format.Format{format.YAML, format.JSON, format.TOML} {
			group, err := one.Decode(text)
			if (group == nil) == (err == nil) {
				t.Errorf("%s: got %v, %v", one, group, err)
			}
			if err == nil && one == format.JSON {
				again, _ := json.Marshal(group)
				if same, err := one.Decode(again); err != nil || !cmp.Equal(same, group) {
					t.Errorf("%s: encoded as %s, got %v, %v", text, again, same, err)
				}
			}
		}
	})
}
