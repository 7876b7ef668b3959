package gocloud

import "testing"

// FuzzParseSettings reads any content of a variable in every format: none ends the
// program, and a setting has a name unless the format is text.
func FuzzParseSettings(f *testing.F) {
	for _, text := range []string{``, `{"a":{"b":1}}`, "a:\n  b: [1, {c: null}]\n", "[a]\nb = 1979-05-27\n", `[]`, `null`, "a: &x [*x]", "\xef\xbb\xbf{}"} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		for _, format := range []Format{formatJSON, formatYAML, formatTOML, formatText} {
			values, err := format.parseSettings(text)
			if err != nil && len(values) > 0 {
				t.Errorf("%s: settings beside the error %v", format, err)
			}
			if _, ok := values[textKey]; format == formatText && (!ok || err != nil) {
				t.Errorf("the text has no setting: %v", err)
			}
		}
	})
}
