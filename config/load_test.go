package config_test

import (
	"errors"
	"flag"
	"math"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"fairlead.dev"
	"fairlead.dev/config"
)

type limits struct {
	Rate  int           `default:"10"`
	Burst uint8         `default:"1"`
	Wait  time.Duration `default:"1s"`
}

type common struct {
	Name string `config:"service_name"`
}

type settings struct {
	common
	Limits  limits
	Level   string `default:"info"`
	Tags    []string
	Share   float64
	Listen  netip.AddrPort
	Weights map[string]int
	Routes  []struct{ Path, ToHost string }
	Token   []byte
	TLS     *struct{ CertFile string }
	Hidden  string `config:"-"`
	On      bool
}

// file returns the path of a file that was written an hour ago.
func file(t testing.TB, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	for _, err := range []error{
		os.WriteFile(path, []byte(text), 0o600),
		os.Chtimes(path, time.Time{}, time.Now().Add(-time.Hour)),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	return path
}

func TestLoadDefaults(t *testing.T) {
	got, err := config.Load[settings](t.Context())
	if err != nil {
		t.Fatal(err)
	}
	want := settings{Limits: limits{10, 1, time.Second}, Level: "info"}
	if !cmp.Equal(got, want, cmp.AllowUnexported(settings{}), cmp.Comparer(func(a, b netip.AddrPort) bool { return a == b })) {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

const yamlText = `
service-name: shop
limits: {rate: 20, wait: 2s}
tags: [a, b]
share: 1
listen: 127.0.0.1:80
weights: {Ab: 1, c_d: 2}
routes: [{path: /x, to_host: h}]
tls: {certFile: c.pem}
level: null
unknown: 1
`

const jsonText = `{"service_name": "shop", "limits": {"rate": 20, "wait": "2s"}, "tags": ["a", "b"], "share": 1,
"listen": "127.0.0.1:80", "weights": {"Ab": 1, "c_d": 2}, "routes": [{"PATH": "/x", "ToHost": "h"}], "TLS": {"cert-file": "c.pem"}}`

const tomlText = `
service_name = "shop"
tags = ["a", "b"]
share = 1
listen = "127.0.0.1:80"
routes = [{path = "/x", toHost = "h"}]
[limits]
rate = 20
wait = "2s"
[weights]
Ab = 1
c_d = 2
[tls]
cert_file = "c.pem"
`

// Every kind of layer can express the same settings.
func TestLoadFormats(t *testing.T) {
	flags := flag.NewFlagSet("test", flag.ContinueOnError)
	for _, name := range []string{"service-name", "limits.rate", "limits.wait", "tags", "share", "listen", "weights", "routes", "tls.cert-file", "unset"} {
		flags.String(name, "unset", "")
	}
	const routes, weights = `[{"path": "/x", "to_host": "h"}]`, `{"Ab": 1, "c_d": 2}`
	err := flags.Parse([]string{"-service-name=shop", "-limits.rate=20", "-limits.wait=2s", "-tags=a, b", "-share=1",
		"-listen=127.0.0.1:80", "-weights=" + weights, "-routes=" + routes, "-tls.cert-file=c.pem"})
	if err != nil {
		t.Fatal(err)
	}
	for name, value := range map[string]string{"SERVICE_NAME": "shop", "LIMITS__RATE": "20", "LIMITS__WAIT": "2s", "TAGS": `["a","b"]`,
		"SHARE": "1", "LISTEN": "127.0.0.1:80", "WEIGHTS": weights, "ROUTES": routes, "TLS__CERT_FILE": "c.pem"} {
		t.Setenv("FLTEST_"+name, value)
	}
	p := open(t, "mem://")
	set(t, openSource(t, p), put("serviceName", "shop"), put("limits/rate", "20"), put("limits.wait", "2s"), put("tags", "a,b"),
		put("share", "1"), put("listen", "127.0.0.1:80"), put("weights/Ab", "1"), put("weights/c_d", "2"), put("routes", routes), put("tls/certFile", "c.pem"))
	want, err := config.Load[settings](t.Context(), config.File(file(t, "a.yaml", yamlText)))
	if err != nil || want.Name != "shop" || want.Limits != (limits{20, 1, 2 * time.Second}) || want.Level != "info" ||
		want.Weights["Ab"] != 1 || want.Routes[0].ToHost != "h" || want.TLS.CertFile != "c.pem" || want.Listen.Port() != 80 || want.Tags[1] != "b" {
		t.Fatalf("YAML: %+v, %v", want, err)
	}
	for name, layer := range map[string]config.Layer{
		"yml":      config.File(file(t, "a.yml", yamlText)),
		"json":     config.File(file(t, "a.json", jsonText)),
		"toml":     config.File(file(t, "a.toml", tomlText)),
		"env":      config.Env("FLTEST_"),
		"flags":    config.Flags(flags),
		"provider": config.From(p, "app"),
		"defaults": config.Defaults(&want),
		"map":      config.Map(map[string]any{"": 1, "service.x": 1, "limits": map[string]any{"wait": "2s"}, "limits.rate": 20, "service-name": "shop", "tags": []string{"a", "b"}, "share": 1, "listen": "127.0.0.1:80", "weights": map[string]int{"Ab": 1, "c_d": 2}, "routes": routes, "tls/certfile": "c.pem"}),
	} {
		got, err := config.Load[settings](t.Context(), layer)
		diff := cmp.Diff(want, got, cmp.AllowUnexported(settings{}), cmp.Comparer(func(a, b netip.AddrPort) bool { return a == b }))
		if err != nil || diff != "" {
			t.Errorf("%s: %v\n%s", name, err, diff)
		}
	}
}

func TestLoadLaterLayersWin(t *testing.T) {
	t.Setenv("FLWIN_LIMITS__RATE", "3")
	got, err := config.Load[settings](t.Context(),
		config.Defaults(settings{Limits: limits{Rate: 1, Burst: 7}, Weights: map[string]int{"a": 1, "b": 1}, Level: "warn"}),
		config.File(file(t, "a.yaml", "limits: {rate: 2, burst: 9}\nweights: {b: 2}")),
		config.OptionalFile(filepath.Join(t.TempDir(), "none.toml")),
		config.Env("FLWIN_"),
		config.Map(map[string]any{"level": ""}))
	if err != nil {
		t.Fatal(err)
	}
	if got.Limits.Rate != 3 || got.Limits.Burst != 9 || got.Level != "" || !cmp.Equal(got.Weights, map[string]int{"a": 1, "b": 2}) {
		t.Errorf("got %+v", got)
	}
}

func (s settings) Validate() error {
	if s.Limits.Rate == 13 {
		return errors.New("the rate brings bad luck")
	}
	if s.Limits.Rate == 14 {
		panic("unlucky too")
	}
	return nil
}

const secret = "s3cr3t"

func TestLoadRejects(t *testing.T) {
	p := open(t, "mem://")
	set(t, openSource(t, p), put("limits/rate", secret))
	for name, c := range map[string]struct {
		opts  []config.Option
		words []string
	}{
		"text for a number":       {[]config.Option{config.From(p, "app")}, []string{"memory", `"app"`, `"Limits.Rate"`, "whole number"}},
		"empty number":            {mapped("limits.rate", ""), []string{"Rate", "whole number"}},
		"fraction":                {mapped("limits.rate", 1.5), []string{"Rate", "whole number"}},
		"too large":               {mapped("limits.burst", 256), []string{"Burst", "uint8"}},
		"negative":                {mapped("limits.burst", -1), []string{"Burst", "uint8"}},
		"inexact":                 {mapped("limits.rate", math.Pow(2, 60)), []string{"Rate"}},
		"duration without unit":   {mapped("limits.wait", 5), []string{"Wait", "unit"}},
		"text that unmarshals":    {mapped("listen", secret), []string{"Listen", "netip.AddrPort"}},
		"number for a string":     {mapped("level", 5), []string{"Level", "quote"}},
		"group for a leaf":        {mapped("level.x", secret), []string{"Level"}},
		"leaf for a group":        {mapped("limits", secret), []string{"Limits", "JSON"}},
		"number for a group":      {mapped("limits", 5), []string{"Limits", "group"}},
		"bad item":                {mapped("routes", `[{"path": 5}]`), []string{"Routes.0.Path"}},
		"bad map value":           {mapped("weights.a", secret), []string{"Weights.a", "map"}},
		"two spellings":           {[]config.Option{config.Map(map[string]any{"lev_el": secret, "level": secret})}, []string{"Level", "more than once"}},
		"unknown key":             {append(mapped("limits.rat", secret), config.Strict()), []string{"map", "Limits.rat", "is unknown"}},
		"Validate":                {mapped("limits.rate", 13), []string{"bad luck"}},
		"Validate panics":         {mapped("limits.rate", 14), []string{"panicked"}},
		"broken YAML":             {[]config.Option{config.File(file(t, "b.yaml", "a: [1"))}, []string{"b.yaml", "well-formed"}},
		"broken JSON":             {[]config.Option{config.File(file(t, "b.json", "{"))}, []string{"b.json", "well-formed"}},
		"broken TOML":             {[]config.Option{config.File(file(t, "b.toml", "a ="))}, []string{"b.toml", "well-formed"}},
		"extension":               {[]config.Option{config.File("a.ini")}, []string{".ini", ".yaml"}},
		"no struct":               {[]config.Option{config.Defaults(5)}, []string{"Defaults"}},
		"nil option":              {[]config.Option{nil}, []string{"nil"}},
		"empty layer":             {[]config.Option{config.Layer{}}, []string{"empty"}},
		"flags that are unparsed": {[]config.Option{config.Flags(flag.NewFlagSet("", flag.ContinueOnError))}, []string{"Parse"}},
		"nil OnError":             {[]config.Option{config.OnError(nil)}, []string{"OnError"}},
	} {
		_, err := config.Load[settings](t.Context(), c.opts...)
		if fairlead.CodeOf(err) != fairlead.Invalid {
			t.Errorf("%s: got %v, want Invalid", name, err)
			continue
		}
		for _, word := range append(c.words, "config.Load") {
			if !strings.Contains(err.Error(), word) {
				t.Errorf("%s: %v does not say %q", name, err, word)
			}
		}
		if strings.Contains(err.Error(), secret) {
			t.Errorf("%s: %v tells a value", name, err)
		}
	}
}

func mapped(key string, v any) []config.Option {
	return []config.Option{config.Map(map[string]any{key: v})}
}

func TestLoadRejectsBadTag(t *testing.T) {
	_, err := config.Load[struct {
		N int `default:"x"`
	}](t.Context())
	if err == nil || !strings.Contains(err.Error(), "default tags") {
		t.Errorf("got %v", err)
	}
	_, err = config.Load[int](t.Context())
	wantCode(t, err, fairlead.Invalid)
	_, err = config.Load[settings](t.Context(), config.File("/none/a.yaml"))
	wantCode(t, err, fairlead.Unavailable)
}

func FuzzLoadText(f *testing.F) {
	f.Add("limits/rate", "5")
	f.Add("routes", `[{"path":null},[],{"path":{}}]`)
	f.Add("weights", `{"a":{"b":1}}`)
	f.Add("tls", `{}`)
	f.Fuzz(func(t *testing.T, key, value string) {
		s, err := config.Load[settings](t.Context(), config.Map(map[string]any{key: value, "limits.rate": 1}))
		if code := fairlead.CodeOf(err); err != nil && code != fairlead.Invalid {
			t.Errorf("%v of %+v", err, s)
		}
		layer := config.Map(map[string]any{key: value})
		_, err = config.Explain[settings](t.Context(), key, layer)
		_, err2 := config.Explain[any](t.Context(), key, layer)
		for _, err := range []error{err, err2} {
			if code := fairlead.CodeOf(err); err != nil && code != fairlead.Invalid {
				t.Errorf("Explain: %v", err)
			}
		}
		config.Redact(s)
	})
}
