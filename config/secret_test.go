package config_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"strings"
	"testing"

	"fairlead.dev"
	"fairlead.dev/config"
)

type login struct {
	User     string
	Password string `config:",secret"`
}

type vault struct {
	login  `config:""`
	Key    []byte            `config:"signing_key,secret"`
	PIN    int               `config:",secret"`
	Tokens map[string]string `config:",secret"`
	Peers  []login
	Level  string
}

func (v *vault) Validate() error {
	if v.Level == "bad" {
		return fmt.Errorf("refused: %+v and %s", *v, v.Key)
	}
	return nil
}

// No text may contain these values.
const hidden = "hunter2"

func vaultLayer(level string) config.Layer {
	return config.Map(map[string]any{"user": "root", "password": hidden, "signing-key": hidden + "key", "pin": 271828,
		"tokens": map[string]any{"a": hidden}, "peers": []any{map[string]any{"user": "eve", "password": hidden}}, "level": level})
}

func wantHidden(t *testing.T, what, text string) {
	t.Helper()
	if strings.Contains(text, hidden) || strings.Contains(text, "271828") {
		t.Errorf("%s shows a secret: %s", what, text)
	}
}

func TestSecretsAreShownNowhere(t *testing.T) {
	if v, err := config.Load[vault](t.Context(), vaultLayer("good")); err != nil || v.Password != hidden || string(v.Key) != hidden+"key" {
		t.Fatalf("the settings themselves: %+v, %v", v, err)
	}
	_, err := config.Load[vault](t.Context(), vaultLayer("bad"))
	if err == nil || !strings.Contains(err.Error(), "refused: ") || !strings.Contains(err.Error(), config.Redacted) || !strings.Contains(err.Error(), "eve") {
		t.Errorf("Validate's error is %v", err)
	}
	wantHidden(t, "Validate's error", fmt.Sprint(err))

	all, err := config.Explain[vault](t.Context(), "", vaultLayer("good"))
	if err != nil {
		t.Fatal(err)
	}
	text := fmt.Sprint(all)
	wantHidden(t, "Explain", text)
	for _, part := range []string{"Password = [secret]", "signing_key = [secret]", "PIN = [secret]", "Tokens.a = [secret]", `"user":"eve"`, "User = root"} {
		if !strings.Contains(strings.ReplaceAll(text, `"User"`, `"user"`), part) {
			t.Errorf("Explain does not say %q: %s", part, text)
		}
	}

	v := vault{login: login{"root", hidden}, Key: []byte(hidden), PIN: 271828, Peers: []login{{"eve", hidden}}, Level: "l"}
	text = fmt.Sprint(config.Redact(&v))
	wantHidden(t, "Redact", text)
	if !strings.Contains(text, "User:root") || !strings.Contains(text, "Level:l") || !strings.Contains(text, "Password:[secret]") {
		t.Errorf("Redact returned %s", text)
	}
}

func TestSecretsInPanicsOfCallbacks(t *testing.T) {
	p := open(t, "mem://")
	s := openSource(t, p)
	reported := make(chan error, 1)
	w := watch[vault](t, config.From(p, "app"), config.OnError(func(err error) { reported <- err }))
	w.OnChange(func(_, now *vault) { panic("cannot log in with " + now.Password) })
	set(t, s, put("password", hidden))
	err := receive(t, "a report", reported)
	wantHidden(t, "a panic", err.Error())
	if !strings.Contains(err.Error(), "log in with "+config.Redacted) {
		t.Errorf("reported %v", err)
	}
}

// oddVault has secrets of several types, and prints them in an error.
type oddVault struct {
	Text  string `config:",secret"`
	Bytes []byte `config:",secret"`
	URL   link   `config:",secret"`
	Show  string
}

// link is a URL in a text.
type link struct{ url.URL }

func (l *link) UnmarshalText(text []byte) error { return l.UnmarshalBinary(text) }

// structError is an error whose fields %#v prints.
type structError struct{ v oddVault }

func (e structError) Error() string { return e.v.print() }

func (v oddVault) print() string {
	for _, verb := range []string{"%v", "%+v", "%s", "%q", "%+q", "%#q", "%x", "%X", "%#v"} {
		if verb == v.Show {
			return fmt.Sprintf(verb+" "+verb+" "+verb, v.Text, v.Bytes, v.URL.String())
		}
	}
	var out bytes.Buffer
	switch v.Show {
	case "struct":
		fmt.Fprintf(&out, "%v %+v %#v", v, v, v)
	case "json":
		_ = json.NewEncoder(&out).Encode(v)
	case "slog":
		slog.New(slog.NewTextHandler(&out, nil)).Info(v.Text, "bytes", string(v.Bytes), "all", v)
		slog.New(slog.NewJSONHandler(&out, nil)).Info(v.Text, "bytes", v.Bytes, "all", v)
	case "url":
		out.WriteString(url.QueryEscape(v.Text) + url.PathEscape(v.Text) + v.URL.String())
	}
	return out.String()
}

func (v oddVault) Validate() error {
	if v.Show == "" {
		return nil
	}
	return structError{v}
}

// A secret is redacted in every form in which an error can print it.
func TestSecretsInEveryForm(t *testing.T) {
	for _, odd := range []string{hidden, hidden + "\"q", hidden + "\\b", hidden + "\nn", hidden + "'<&>", hidden + "ü\x01", "\"" + hidden, hidden + " /?#@%"} {
		for _, show := range []string{"%v", "%+v", "%s", "%q", "%+q", "%x", "%X", "%#v", "struct", "json", "slog", "url"} {
			_, err := config.Load[oddVault](t.Context(), config.Map(map[string]any{
				"text": odd, "bytes": odd, "url": (&url.URL{Scheme: "x", Host: "h", User: url.UserPassword("u", odd)}).String(), "show": show}))
			if !errors.Is(err, fairlead.Invalid) {
				t.Fatalf("%s: got %v", show, err)
			}
			var r *config.Rejected
			errors.As(err, &r)
			for _, text := range []string{fmt.Sprint(err), fmt.Sprintf("%#v", err), fmt.Sprintf("%#v", *r), fmt.Sprintf("%+v %q", r, r)} {
				for _, part := range []string{hidden, fmt.Sprintf("%x", hidden), fmt.Sprintf("%X", hidden), "0x68, 0x75, 0x6e", "104 117 110", base64.StdEncoding.EncodeToString([]byte(hidden))[:6]} {
					if strings.Contains(text, part) {
						t.Errorf("%q printed with %s: %s", odd, show, text)
					}
				}
			}
		}
	}
}

func TestRedactValue(t *testing.T) {
	for value, want := range map[string]string{
		"plain text, with 3 = 3":           "plain text, with 3 = 3",
		"http://h:80/path?a=b":             "http://h:80/path?a=b",
		"redis://user:hunter2@h/0":         "redis://user:[secret]@h/0",
		"x://u:hun/ter2?@h":                "x://u:[secret]@h",
		"nats://hunter2@h":                 "nats://[secret]@h",
		"root:hunter2@tcp(h:1)/db":         "root:[secret]@tcp(h:1)/db",
		"host=h password=hunter2 user=u":   "host=h password=[secret] user=u",
		`{"a": 1, "api-key": "hun\"ter2"}`: `{"a": 1, "api-key": "[secret]"}`,
	} {
		if got := config.RedactValue("key", value); got != want {
			t.Errorf("%s: got %s, want %s", value, got, want)
		}
	}
	if got := config.RedactValue("db.pass", "hunter2"); got != config.Redacted {
		t.Errorf("got %s", got)
	}
	all, err := config.Explain[pair](t.Context(), "note", config.Map(map[string]any{"note": "x://u:" + hidden + "@h"}))
	wantLines(t, all, err, `Note = x://u:[secret]@h, from map; overrides none from the struct's default tags`)
	if text := fmt.Sprint(config.Redact(pair{Note: "x://u:" + hidden + "@h"})); strings.Contains(text, hidden) {
		t.Errorf("Redact returned %s", text)
	}
}

// The errors of a parser may contain parts of the file.
func TestSecretsInMalformedFiles(t *testing.T) {
	for name, text := range map[string]string{
		"alias.yaml":   "user: a\npassword: *" + hidden,
		"scalar.yaml":  hidden,
		"mapping.yaml": "password: " + hidden + ": x",
		"twice.yaml":   hidden + ": 1\n" + hidden + ": 2",
		"tab.yaml":     "password:\n\t" + hidden,
		"bare.json":    "{\n\"password\": " + hidden + "}",
		"bare.toml":    "user = \"a\"\npassword = " + hidden,
		"twice.toml":   hidden + " = 1\n" + hidden + " = 2",
	} {
		_, err := config.Load[vault](t.Context(), config.File(file(t, name, text)))
		var r *config.Rejected
		if !errors.As(err, &r) || !strings.Contains(err.Error(), "is not well-formed") && !strings.Contains(err.Error(), "is a single value") {
			t.Errorf("%s: got %v", name, err)
			continue
		}
		wantHidden(t, name, err.Error())
		if strings.HasPrefix(name, "bare.") && !strings.Contains(err.Error(), "line 2") {
			t.Errorf("%s: the error %v does not name the line", name, err)
		}
	}
}

func TestTagOptions(t *testing.T) {
	_, err := config.Load[struct {
		A string `config:"a,secrt"`
	}](t.Context())
	if !errors.Is(err, fairlead.Invalid) || !strings.Contains(err.Error(), `"secrt"`) || !strings.Contains(err.Error(), "accepted: secret") {
		t.Errorf("got %v", err)
	}
	_, err = config.Load[struct {
		A string `config:"a.b"`
	}](t.Context())
	if !errors.Is(err, fairlead.Invalid) || !strings.Contains(err.Error(), "separator") {
		t.Errorf("got %v", err)
	}
}

func TestSecretName(t *testing.T) {
	for key, want := range map[string]bool{"db/password": true, "API_TOKEN": true, "api-key": true, "tls.private_key": true,
		"db/pass": true, "dbPass": true, "SMTP_PASS": true, "dbpass": true, "passphrase": true, "dsn": true, "pg.dsn": true, "pw": true, "aws-creds": true,
		"limits.rate": false, "keys": false, "passage": false, "log-level": false, "bypass": false, "pass-through": true, "compass": false, "monkey": false} {
		if config.SecretName(key) != want {
			t.Errorf("%s: got %v", key, !want)
		}
	}
}
