package gocloud

import (
	"context"
	"errors"
	"maps"
	"strings"
	"testing"
	"unicode/utf8"

	"gocloud.dev/pubsub"

	"fairlead.dev"
	"fairlead.dev/providers"
	"fairlead.dev/pubsub/driver"
)

func FuzzMetadata(f *testing.F) {
	for _, s := range []string{"", "plain", "fairlead-id", "Fairlead-ID", packedName, "ü", "a\x00", "a b", strings.Repeat("n", 200)} {
		f.Add(s, "value", "")
		f.Add("name", s, s)
	}
	f.Fuzz(func(t *testing.T, name, value, other string) {
		if name == "" || !utf8.ValidString(name) || !utf8.ValidString(value) || !utf8.ValidString(other) {
			return // the portable layer refuses it
		}
		want := driver.Message{ID: "id", Body: []byte(other), Metadata: map[string]string{name: value, "x": other}}
		sent := encodeMessage(want)
		for n, v := range sent.Metadata {
			if n != packedName && (v == "" || len(n) > maxPlainName) {
				t.Errorf("%q=%q is not for every backend", n, v)
			}
		}
		got := decodeMessage(sent)
		if got.ID != want.ID || string(got.Body) != other || !maps.Equal(got.Metadata, want.Metadata) {
			t.Errorf("sent %+v, got %+v", want, got)
		}
	})
}

// FuzzForeign decodes messages of other programs.
func FuzzForeign(f *testing.F) {
	f.Add("name", "value", `{"a":"b"}`)
	f.Add(idName, "", `{"":"b"}`)
	f.Add(idName, "x", `[1]`)
	f.Fuzz(func(t *testing.T, name, value, rest string) {
		d := decodeMessage(&pubsub.Message{Metadata: map[string]string{name: value, packedName: rest}})
		if d.ID == "" {
			t.Error("a message without an id")
		}
		if _, empty := d.Metadata[""]; empty && name != "" {
			t.Error("metadata without a name")
		}
	})
}

func TestPanicsAreContained(t *testing.T) {
	m := &pubsub.Message{}
	err := recoverPanic(func() error { m.Nack(); return nil }) // the message belongs to no subscription
	if err == nil || !strings.Contains(err.Error(), "gocloud.dev panicked") {
		t.Errorf("a panic became %v", err)
	}
	life := providers.NewLifetime("test")
	if err := call(t.Context(), life, func(context.Context) error { m.Ack(); return nil }); err == nil {
		t.Error("a panic in a call was no error")
	}
}

// TestErrorsHideCredentials: gocloud.dev repeats URLs, and parts of them, in its errors.
func TestErrorsHideCredentials(t *testing.T) {
	const opened = "mongo://user:s%2F%22cret@host/db?id_field=key&key=t0%2Fken"
	for _, text := range []string{
		`open collection ` + opened + `: no such database`,
		`invalid URL "` + opened + `": host/db is bad`,
		`host/db: the password is not "s/\"cret", nor s/"cret or s%2F%22cret`,
		`host/db: map[key:[t0/ken]], key=t0%2Fken, "t0/ken"`,
	} {
		err := redactURL(errors.New(text), opened)
		for _, part := range []string{"cret", "ken"} {
			if strings.Contains(err.Error(), part) || !strings.Contains(err.Error(), "host/db") {
				t.Errorf("%s: %v", text, err)
			}
		}
	}
	for _, opened := range []string{"mongo://user:%zzsecret@host/db", "mongo://user:12/secret@host:secret/db", "mongo://user:12#secret@host/db"} {
		err := redactURL(errors.New(opened), opened)
		if fairlead.CodeOf(err) != fairlead.Invalid || strings.Contains(err.Error(), "secret@") || strings.Contains(err.Error(), ":secret") {
			t.Errorf("%s: %v", opened, err)
		}
	}
	if redactURL(errors.New("no token"), "mongo://t0ken@host/db").Error() == "" || redactURL(nil, opened) != nil {
		t.Error("nil became an error, or an error nothing")
	}
}
