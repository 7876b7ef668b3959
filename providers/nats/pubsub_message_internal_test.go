package nats

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	natsgo "github.com/nats-io/nats.go"

	"fairlead.dev/pubsub/driver"
)

func TestMessageEncoding(t *testing.T) {
	for _, m := range []driver.Message{
		{},
		{Body: []byte("b")},
		{ID: "id\r\n", Body: []byte("\x00\xff")},
		{Key: "k", Metadata: map[string]string{"A": "", "a": "line\r\nline", "é": "ü"}, Body: []byte("x")},
	} {
		got, err := decode(encode("s", m))
		want := driver.Delivery{ID: m.ID, Key: m.Key, Body: m.Body, Metadata: m.Metadata}
		if diff := cmp.Diff(want, got); err != nil || diff != "" {
			t.Errorf("%+v: %v %s", m, err, diff)
		}
	}
}

func TestDedupeID(t *testing.T) {
	long := string(make([]byte, 300))
	seen := map[string]string{}
	for _, id := range []string{"a", "A", "a b", "a+b", "a%20b", "\r\n", long, long + "x"} {
		got := dedupeID(id)
		if other, ok := seen[got]; ok || len(got) > longestID+1 {
			t.Errorf("%.20q is sent to the server as %q, and so is %.20q", id, got, other)
		}
		seen[got] = id
	}
}

func FuzzDecode(f *testing.F) {
	f.Add("3", []byte("\x01a\x00body"))
	f.Add("99", []byte("x"))
	f.Add("10", []byte("\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"))
	f.Fuzz(func(t *testing.T, length string, data []byte) {
		m := &natsgo.Msg{Data: data, Header: natsgo.Header{hdrMeta: {length}}}
		_, _ = decode(m)
	})
}
