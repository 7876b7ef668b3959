package lock

import (
	"bytes"
	"testing"

	"fairlead.dev/kv"
)

func FuzzDecodeRecord(f *testing.F) {
	f.Add(record{Owner: "o", Token: 7, Value: []byte{0xff, 0}}.encode())
	f.Add([]byte(`{"owner":""}`))
	f.Add([]byte("7"))
	f.Fuzz(func(t *testing.T, value []byte) {
		if n, err := decodeToken(kv.Entry{Value: value}); err == nil && n == 0 {
			t.Error("a token of 0")
		}
		r, err := decodeRecord(kv.Entry{Value: value})
		if err != nil {
			return
		}
		again, err := decodeRecord(kv.Entry{Value: r.encode()})
		if err != nil || again.Owner != r.Owner || again.Token != r.Token || !bytes.Equal(again.Value, r.Value) {
			t.Errorf("%q is %+v, encoded and decoded %+v, %v", value, r, again, err)
		}
	})
}
