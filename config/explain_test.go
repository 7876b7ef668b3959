package config_test

import (
	"errors"
	"flag"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/pflag"

	"fairlead.dev"
	"fairlead.dev/config"
)

func lines(all []config.Explanation) []string {
	var out []string
	for _, e := range all {
		out = append(out, e.String())
	}
	return out
}

func wantLines(t *testing.T, all []config.Explanation, err error, want ...string) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, lines(all)); diff != "" {
		t.Error(diff)
	}
}

func TestExplain(t *testing.T) {
	t.Setenv("FLX_LIMITS__RATE", "3")
	path := file(t, "a.yaml", "limits: {rate: 2, burst: 9}\nweights: {b: 2}\ntags: [x, y]")
	opts := []config.Option{config.File(path), config.Env("FLX_"), config.Map(map[string]any{"weights.a": 1, "limits.rate": 4})}
	explain := func(key string) ([]config.Explanation, error) {
		return config.Explain[settings](t.Context(), key, opts...)
	}
	rate := "Limits.Rate = 4, from map; overrides 10 from the struct's default tags; overrides 2 from file " + path + "; overrides 3 from environment FLX_"
	all, err := explain("limits/RATE")
	wantLines(t, all, err, rate)
	all, err = explain("limits")
	wantLines(t, all, err, "Limits.Burst = 9, from file "+path+"; overrides 1 from the struct's default tags", rate, "Limits.Wait = 1s, from the struct's default tags")
	all, err = explain("weights")
	wantLines(t, all, err, "Weights.a = 1, from map", "Weights.b = 2, from file "+path)
	all, err = explain("tags")
	wantLines(t, all, err, `Tags = ["x","y"], from file `+path)
	all, err = explain("share")
	wantLines(t, all, err, "Share has its zero value")
	all, err = explain("tls")
	wantLines(t, all, err)
	if all, err = explain(""); err != nil || len(all) != 7 {
		t.Errorf("all keys: %q, %v", lines(all), err)
	}
	for key, word := range map[string]string{"limits.rat": "no field", "x": "no field", "tags.0": "list", "level.x": "no layer", "weights.z": "no layer"} {
		if _, err := explain(key); fairlead.CodeOf(err) != fairlead.Invalid || !strings.Contains(err.Error(), word) {
			t.Errorf("%s: got %v", key, err)
		}
	}
	if _, err := config.Explain[int](t.Context(), ""); fairlead.CodeOf(err) != fairlead.Invalid {
		t.Errorf("no struct: got %v", err)
	}
}

func TestExplainWithoutStruct(t *testing.T) {
	t.Setenv("FLY_LOG_LEVEL", "warn")
	t.Setenv("FLY_DB__PASS_WORD", hidden)
	opts := []config.Option{config.Map(map[string]any{"log-level": "info", "limits/rate": 5}), config.Env("FLY_")}
	all, err := config.Explain[any](t.Context(), "", opts...)
	wantLines(t, all, err,
		"db.pass_word = [secret], from environment FLY_", "limits.rate = 5, from map", "log-level = warn, from environment FLY_; overrides info from map")
	all, err = config.Explain[any](t.Context(), "LogLevel", opts...)
	wantLines(t, all, err, "log-level = warn, from environment FLY_; overrides info from map")
	if _, err := config.Explain[any](t.Context(), "none", opts...); fairlead.CodeOf(err) != fairlead.Invalid {
		t.Errorf("got %v", err)
	}
}

// A key of a map may have a separator in it, in a file. Explain accepts each key
// that it prints, and a rejection names the layer and the key.
func TestKeysOfMapsWithSeparators(t *testing.T) {
	type route struct{ To string }
	type routes struct {
		Weights map[string]int
		Routes  map[string]route
		Odd     map[string]map[string]int
	}
	path := file(t, "a.yaml", "weights: {example.com: 1, a/b: 2, 'x[y]': 3}\nroutes: {example.com: {to: h}}\nodd: {a.b: {c: 1}}")
	got, err := config.Load[routes](t.Context(), config.File(path))
	if err != nil || got.Weights["example.com"] != 1 || got.Weights["a/b"] != 2 || got.Routes["example.com"].To != "h" {
		t.Fatalf("got %+v, %v", got, err)
	}
	all, err := config.Explain[routes](t.Context(), "", config.File(path))
	if err != nil || len(all) != 5 {
		t.Fatalf("got %q, %v", lines(all), err)
	}
	for _, e := range all {
		again, err := config.Explain[routes](t.Context(), e.Key, config.File(path))
		wantLines(t, again, err, e.String())
		anyOne, err := config.Explain[any](t.Context(), e.Key, config.File(path))
		if err != nil || len(anyOne) != 1 || anyOne[0].Origins[0].Value != e.Origins[0].Value {
			t.Errorf("without a struct, %s: %q, %v", e.Key, lines(anyOne), err)
		}
	}
	all, err = config.Explain[routes](t.Context(), "routes/example.com", config.File(path))
	wantLines(t, all, err, "Routes.example.com.To = h, from file "+path)
	if _, err := config.Explain[routes](t.Context(), "weights.example", config.File(path)); fairlead.CodeOf(err) != fairlead.Invalid {
		t.Errorf("a part of a key: got %v", err)
	}
	for text, key := range map[string]string{
		"weights: {example.com: x}":      "Weights.example.com",
		"weights: {'x[y]': x}":           "Weights.x[y]",
		"routes: {example.com: {to: 1}}": "Routes.example.com.To",
		"odd: {a.b: {c: x}}":             "Odd.a.b.c",
	} {
		path := file(t, "b.yaml", text)
		_, err := config.Load[routes](t.Context(), config.Map(map[string]any{"weights": `{"z": 1}`}), config.File(path))
		var r *config.Rejected
		if !errors.As(err, &r) || r.Key != key || r.Layer != "file "+path {
			t.Errorf("%s: got %v", text, err)
		}
	}
}

// Explain shows a rejected value, and the value that still applies.
func TestWatcherExplain(t *testing.T) {
	p := open(t, "mem://")
	s := openSource(t, p)
	set(t, s, both(1)...)
	reported := make(chan error, 1)
	w := watch[pair](t, config.Map(map[string]any{"left": 0}), config.From(p, "app"), config.OnError(func(err error) { reported <- err }))
	all, err := w.Explain("left")
	wantLines(t, all, err, `Left = 1, from memory "app"; overrides 0 from map`)
	set(t, s, put("left", "-3"))
	receive(t, "a report", reported)
	all, err = w.Explain("left")
	wantLines(t, all, err, `Left = 1, from memory "app"; overrides 0 from map; -3 from memory "app" is rejected`)
	all, err = w.Explain("right") // its update is rejected as well, but its value is unchanged
	wantLines(t, all, err, `Right = 1, from memory "app"`)
	set(t, s, config.Delete("left"))
	eventually(t, "the layer below", func() bool { return w.Get().Left == 0 && w.Err() == nil }, func() any { return w.Health() })
	all, err = w.Explain("left")
	wantLines(t, all, err, "Left = 0, from map")
}

func TestFlagsOfBothKinds(t *testing.T) {
	posix := pflag.NewFlagSet("test", pflag.ContinueOnError)
	posix.Int("limits.rate", 5, "")
	posix.StringSlice("tags", nil, "")
	posix.String("level", "unset", "")
	if _, err := config.Load[settings](t.Context(), config.Flags(posix)); fairlead.CodeOf(err) != fairlead.Invalid {
		t.Errorf("unparsed: got %v", err)
	}
	if err := posix.Parse([]string{"--limits.rate=7", "--tags=a", "--tags=b c"}); err != nil {
		t.Fatal(err)
	}
	got, err := config.Load[settings](t.Context(), config.Flags(posix))
	if err != nil || got.Limits.Rate != 7 || !slices.Equal(got.Tags, []string{"a", "b c"}) || got.Level != "info" {
		t.Errorf("got %+v, %v", got, err)
	}
	for name, layer := range map[string]config.Layer{
		"nil":     config.Flags((*flag.FlagSet)(nil)),
		"strange": config.Flags(strangeFlags{}),
	} {
		if _, err := config.Load[settings](t.Context(), layer); fairlead.CodeOf(err) != fairlead.Invalid {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

// strangeFlags has flags without a value.
type strangeFlags struct{}

func (strangeFlags) Parsed() bool                      { return true }
func (strangeFlags) Visit(f func(*struct{ X string })) { f(&struct{ X string }{"x"}) }
