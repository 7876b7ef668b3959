package nats

import (
	"encoding/json"
	"testing"
)

// FuzzPlainAck: JSON reads every acknowledgement that plainAck reads, with the same
// result.
func FuzzPlainAck(f *testing.F) {
	for _, ack := range []string{
		`{"stream":"fairlead-kv-s","seq":7}`, `{"stream":"s","seq":0}`, `{"stream":"s","seq":-7}`, `{"stream":"s","seq":+7}`,
		`{"stream":"s","seq":7,"duplicate": true}`, `{"stream":"\\u0061","seq":7}`, `{"stream":"s","seq":07}`, `{"stream":"s", "seq" :7}`,
		`{"stream":"s","seq":18446744073709551616}`, `{"error":{"code":503}}`, "", "{}",
	} {
		f.Add([]byte(ack))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		got, ok := plainAck(data)
		if !ok {
			return
		}
		var want pubAck
		if err := json.Unmarshal(data, &want); err != nil && json.Valid(data) || want.Seq != got.Seq || want.Error != nil || want.Duplicate {
			t.Errorf("%q is read as %+v, by JSON as %+v, %v", data, got, want, err)
		}
	})
}

func TestPlainAck(t *testing.T) {
	ack, ok := plainAck([]byte(`{"stream":"fairlead-kv-s","seq":71}`))
	if !ok || ack.Seq != 71 || ack.Stream != "fairlead-kv-s" {
		t.Errorf("%+v, %t", ack, ok)
	}
}
