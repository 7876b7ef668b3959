package providers

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"fairlead.dev"
)

// canary is a password that must come out nowhere, nor the part of it after a
// reserved character.
const canary, canaryPart = "c4nary", "b1rd"

// TestCanaryInURL gives a password with each reserved character, escaped or not,
// in each place of a URL where a person may put one.
func TestCanaryInURL(t *testing.T) {
	dir := t.TempDir()
	empty := filepath.Join(dir, canary+canaryPart)
	if err := os.WriteFile(empty, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	urls := []string{
		"test://user:" + canary, "test://user:" + canary + ",h2", "test://h1,user:" + canary,
		"test//user:" + canary + "@h", "test:user:" + canary + "@h", "user:" + canary + "@h", canary, canary + "@h", "test:" + canary,
		"nosuch://user:" + canary + "@h", "test://user:" + canary + "@h:port", "test://user:" + canary + "@h:99999999", "test://user:" + canary + "@",
		"test://h?password=" + canary, "test://h?password=x&" + canary, "test://h?size=" + "5&" + canary + canaryPart,
		"test://h?password-env=" + canary, "test://h?password-file=" + canary, "test://h?password-file=" + empty, "test://h?password-file=" + dir + "/" + canary,
		"test://h?password-env=" + canary + "&password-file=/dev/null", "test://h?ca-file=" + canary, "test://user:" + canary + "@h?ca-file=" + empty,
		"test://user:" + canary + "@h?password-env=HOME", "test://h?" + canary + "%zz", "test://user:" + canary + "@h?x=y",
	}
	for _, reserved := range []string{"/", "?", "#", "@", "%", ":", "[", "]", "\\", "\"", " ", "\n", ",", "&", "=", "+", "ü"} {
		for _, password := range []string{canary + reserved + canaryPart, "12" + reserved + canary, reserved + canary, canary + reserved, url.QueryEscape(canary + reserved + canaryPart)} {
			for _, form := range []string{"test://user:%s@h", "test://:%s@h", "test://%s@h", "test://user:%s@h1,h2/path?size=5", "test://user:%s@h?flag=true", "test://user:%s@h/0", "nosuch://user:%s@h"} {
				urls = append(urls, fmt.Sprintf(form, password))
			}
		}
	}
	for _, u := range urls {
		for _, says := range whatComesOut(t, u) {
			if strings.Contains(says, canary) || strings.Contains(says, canaryPart) {
				t.Errorf("%q: %s", u, says)
			}
		}
	}
}

// whatComesOut opens a URL and returns every text that can be made of the result.
func whatComesOut(t *testing.T, u string) []string {
	var values []any
	settings := append(append(PasswordSettings(), TLSSettings("")...),
		Setting{Name: "flag", Kind: Bool}, Setting{Name: "size", Kind: Int, Max: 10}, Setting{Name: "mode", Kind: Enum, Values: []string{"a"}})
	s, err := Scheme{Name: "test", Settings: settings}.Parse(u)
	values = append(values, s, &s, err)
	if err == nil {
		_, passwordErr := s.Password()
		_, tlsErr := s.TLSConfig()
		values = append(values, passwordErr, tlsErr)
	}
	_, openErr := fairlead.Open(t.Context(), u)
	values = append(values, openErr)
	var texts []string
	for _, v := range values {
		for _, verb := range []string{"%v", "%s", "%q", "%+v", "%#v", "%x"} {
			texts = append(texts, fmt.Sprintf(verb, v))
		}
		b, _ := json.Marshal(v)
		var logged bytes.Buffer
		slog.New(slog.NewTextHandler(&logged, nil)).Info("text", "value", v)
		slog.New(slog.NewJSONHandler(&logged, nil)).Info("json", "value", v)
		texts = append(texts, string(b), logged.String())
	}
	return texts
}

// A URL that net/url reads in another way than it was meant, or in part, is refused
// with what to do.
func TestUnescapedURL(t *testing.T) {
	for u, says := range map[string]string{
		"test://user:12/s3cret@host":     "%2F",
		"test://user:12?s3cret@host":     "%3F",
		"test://user:s3#cret@host":       "%23",
		"test://host/path#s3cret":        "%23",
		"test://user:pass@host/a@b":      "%40",
		"test://host?mode=a&s3cret":      "%26",
		"test://host?password-file=/a@b": "%40",
	} {
		_, err := fairlead.Open(t.Context(), u)
		if !errors.Is(err, fairlead.Invalid) || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: got %v", u, err)
		}
	}
	for _, u := range []string{"test://user:p@ss@host", "test:///run/a@b", "test://user:a%2Fb%3Fc%23d%40e@host/0?mode=a"} {
		if _, err := fairlead.Open(t.Context(), u); err != nil {
			t.Errorf("%s: got %v", u, err)
		}
	}
}
