package nats

import (
	"bytes"
	"testing"
	"time"

	natsgo "github.com/nats-io/nats.go"

	"fairlead.dev/pubsub/driver"
)

// What the server answers to a read is decoded, or an error, and never both a
// message and an error of the server.
func FuzzParseGet(f *testing.F) {
	f.Add([]byte(`{"message":{"subject":"s.k","seq":7,"hdrs":"TkFUUy8xLjANCk5hdHMtVFRMOiA1DQoNCg==","data":"dg==","time":"2026-01-02T03:04:05Z"}}`))
	f.Add([]byte(`{"error":{"code":404,"err_code":10037,"description":"no message found"}}`))
	f.Add([]byte(`{"message":{"hdrs":"TkFUUy8xLjA="}}`))
	f.Add([]byte(`{"message":null}`))
	f.Add([]byte(`null`))
	f.Fuzz(func(t *testing.T, data []byte) {
		m, err := parseGet(answer{msg: &natsgo.Msg{Data: data}})
		if m == nil || err != nil {
			return
		}
		_ = m.state()
		_ = m.exists()
		_ = m.overdue(time.Now())
		if r := m.revision(); r.seq < m.Seq {
			t.Errorf("the revision %d of the message %d", r.seq, m.Seq)
		}
	})
}

// Headers that were read are those that the client's library writes.
func FuzzMessageDecode(f *testing.F) {
	f.Add([]byte("NATS/1.0\r\nNats-TTL: 5\r\nKV-Operation: PURGE\r\n\r\n"))
	f.Add([]byte("NATS/1.0\r\nFairlead-Txn: 18446744073709551615\r\n\r\n"))
	f.Add([]byte("NATS/1.0"))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, headers []byte) {
		m := &message{Seq: 1, Headers: headers}
		if m.decode() != nil {
			return
		}
		_ = m.state()
		_ = m.overdue(time.Now())
		_ = m.revision()
	})
}

// An answer of the API is either an error of the server, or decoded.
func FuzzDecodeAPI(f *testing.F) {
	f.Add([]byte(`{"type":"t","error":{"code":404,"err_code":10059,"description":"stream not found"}}`))
	f.Add([]byte(`{"config":{"name":"n","subjects":["a.>"],"max_age":1},"state":{"first_seq":1,"last_seq":2}}`))
	f.Add([]byte(`{"config":null,"state":[]}`))
	f.Add([]byte(`[]`))
	f.Fuzz(func(t *testing.T, data []byte) {
		var info streamInfo
		err := decodeAPI(data, &info)
		if none := decodeAPI(data, nil); (none == nil) != (err == nil) && none != nil {
			t.Errorf("%q is an error without a target, and none with one: %v, %v", data, none, err)
		}
		if err == nil {
			_ = checkStream(info.Config, streamConfig{})
		}
	})
}

// Decoding an encoded message returns the same message.
func FuzzEncode(f *testing.F) {
	f.Add("id", "key", "name", "value", []byte("body"))
	f.Add("", "", "", "", []byte{})
	f.Fuzz(func(t *testing.T, id, key, name, value string, body []byte) {
		m := driverMessage(id, key, name, value, body)
		d, err := decode(encode("s", m))
		if err != nil || d.ID != id || d.Key != key || !bytes.Equal(d.Body, body) || d.Metadata[name] != m.Metadata[name] {
			t.Errorf("%+v becomes %+v, %v", m, d, err)
		}
	})
}

func driverMessage(id, key, name, value string, body []byte) driver.Message {
	m := driver.Message{ID: id, Key: key, Body: body}
	if name != "" {
		m.Metadata = map[string]string{name: value}
	}
	return m
}
