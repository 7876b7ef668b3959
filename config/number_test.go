package config_test

import (
	"encoding/json"
	"fmt"
	"math"
	"math/big"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"fairlead.dev"
	"fairlead.dev/config"
)

type numbers struct {
	I      int64
	U      uint64
	Small  int8
	F      float64
	Narrow float32
	Big    *big.Int
	Any    any
	Bag    map[string]any
	Flag   bool
	Text   string
	Bytes  []byte
}

// A whole number arrives as it is written, in a file and in a text.
func TestWholeNumbersAreExact(t *testing.T) {
	for _, number := range []string{"0", "-1", "9007199254740992", "9007199254740993", "-9007199254740993",
		"9223372036854775807", "-9223372036854775808"} {
		for name, layer := range map[string]config.Layer{
			"JSON":           config.File(file(t, "a.json", `{"i": `+number+`, "any": {"x": [`+number+`]}}`)),
			"YAML":           config.File(file(t, "a.yaml", "i: "+number)),
			"TOML":           config.File(file(t, "a.toml", "i = "+number)),
			"text":           config.Map(map[string]any{"i": number}),
			"JSON in a text": config.Map(map[string]any{"bag": `{"i": ` + number + `}`, "i": number}),
		} {
			got, err := config.Load[numbers](t.Context(), layer)
			if err != nil || fmt.Sprint(got.I) != number {
				t.Errorf("%s: %s: got %d, %v", name, number, got.I, err)
			}
			if got.Any != nil && !cmp.Equal(got.Any, any(map[string]any{"x": []any{got.I}})) {
				t.Errorf("%s: %s: a field of any type has %#v", name, number, got.Any)
			}
			if got.Bag != nil && got.Bag["i"] != got.I {
				t.Errorf("%s: %s: a map has %#v", name, number, got.Bag)
			}
		}
		all, err := config.Explain[any](t.Context(), "", config.File(file(t, "a.json", `{"i": `+number+`}`)))
		wantLines(t, all, err, "i = "+number+", from "+all[0].Origins[0].Layer)
	}
}

func TestNumbersOfJSON(t *testing.T) {
	huge := strings.Repeat("9", 30)
	text := `{"u": 18446744073709551615, "small": 1.2e1, "i": 12.0, "f": 1e3, "narrow": 1.5, "big": ` + huge + `,
		"bag": {"float": 1.5, "whole": 3, "large": 18446744073709551615, "huge": ` + huge + `, "exponent": 1e2}}`
	got, err := config.Load[numbers](t.Context(), config.File(file(t, "a.json", text)))
	if err != nil {
		t.Fatal(err)
	}
	want := numbers{U: math.MaxUint64, Small: 12, I: 12, F: 1000, Narrow: 1.5, Bag: map[string]any{
		"float": 1.5, "whole": int64(3), "large": uint64(math.MaxUint64), "huge": json.Number(huge), "exponent": 100.0,
	}}
	if got.Big == nil || got.Big.String() != huge {
		t.Errorf("the big number is %v", got.Big)
	}
	got.Big = nil
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestNumbersThatDoNotFit(t *testing.T) {
	for text, word := range map[string]string{
		`"i": 9223372036854775808`:    "whole number",
		`"i": 9007199254740993.5`:     "whole number",
		`"i": 1.00000000000000000001`: "whole number",
		`"i": 1e1000000000`:           "whole number",
		`"i": 1e-1000000000`:          "whole number",
		`"u": -1`:                     "at least 0",
		`"small": 128`:                "int8",
		`"f": 9007199254740993`:       "float64",
		`"f": 1e400`:                  "float64",
		`"narrow": 1e40`:              "float32",
		`"narrow": 16777217`:          "float32",
		`"flag": 1`:                   "true or false",
		`"text": 1`:                   "a string; quote it",
		`"bytes": 1`:                  "a list",
		`"bag": 1`:                    "a group",
		`"bag": [1]`:                  "is a list, which is not a group of keys",
		`"i": ` + strings.Repeat("9", 1000) + `0`: "whole number",
	} {
		_, err := config.Load[numbers](t.Context(), config.File(file(t, "a.json", "{"+text+"}")))
		if fairlead.CodeOf(err) != fairlead.Invalid || !strings.Contains(err.Error(), word) || strings.Contains(err.Error(), "json.Number") {
			t.Errorf("%.40s: got %v", text, err)
		}
	}
}
