package config_test

import (
	"errors"
	"fmt"
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
	err := <-reported
	wantHidden(t, "a panic", err.Error())
	if !strings.Contains(err.Error(), "log in with "+config.Redacted) {
		t.Errorf("reported %v", err)
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
		"limits.rate": false, "keys": false, "passage": false, "log-level": false} {
		if config.SecretName(key) != want {
			t.Errorf("%s: got %v", key, !want)
		}
	}
}
