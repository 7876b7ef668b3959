package dapr

import (
	"bytes"
	"encoding/json"
	"maps"
	"testing"
	"time"

	runtimev1 "github.com/dapr/dapr/pkg/proto/runtime/v1"
	"google.golang.org/protobuf/types/known/structpb"

	"fairlead.dev/pubsub/driver"
)

// event returns the request that the runtime makes of an event published as data.
func event(t *testing.T, data []byte) *runtimev1.TopicEventRequest {
	t.Helper()
	var all map[string]any
	var e envelope
	if err := json.Unmarshal(data, &all); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(data, &e); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"id", "source", "type", "specversion", "datacontenttype", "data_base64"} {
		delete(all, name)
	}
	extensions, err := structpb.NewStruct(all)
	if err != nil {
		t.Fatal(err)
	}
	return &runtimev1.TopicEventRequest{
		Id: e.ID, Source: e.Source, Type: e.Type, SpecVersion: e.SpecVersion, DataContentType: e.ContentType, Data: e.Body, Extensions: extensions,
	}
}

// FuzzEvent encodes and decodes messages and copies of them.
func FuzzEvent(f *testing.F) {
	f.Add("", []byte(nil), "name", "value")
	f.Add("id", []byte("\x00\xff"), "a b&c=d;%41+", "\n{\"e\":1}\x00ü")
	f.Fuzz(func(t *testing.T, id string, body []byte, name, value string) {
		id, name, value = string(bytes.ToValidUTF8([]byte(id), nil)), string(bytes.ToValidUTF8([]byte(name), nil)), string(bytes.ToValidUTF8([]byte(value), nil))
		m := driver.Message{ID: id, Body: body}
		if name != "" {
			m.Metadata = map[string]string{name: value}
		}
		now := time.Now()
		e, sent := newEnvelope(m, now)
		data, err := json.Marshal(e)
		if err != nil {
			t.Fatal(err)
		}
		first := newReceivedEvent(event(t, data))
		again, err := first.encodeCopy()
		if err != nil {
			t.Fatal(err)
		}
		second := newReceivedEvent(event(t, again))
		if first.uid != second.uid || first.event.GetId() == second.event.GetId() {
			t.Errorf("the copy has the id %q and stands for %q, the original is %q", second.event.GetId(), second.uid, first.uid)
		}
		for _, a := range []receivedEvent{first, second} {
			d := a.delivery()
			if d.ID != sent || !d.Time.Equal(now) || !bytes.Equal(a.event.GetData(), body) || !maps.Equal(d.Metadata, m.Metadata) {
				t.Errorf("sent %q %q %q, got %q %q %q", sent, body, m.Metadata, d.ID, a.event.GetData(), d.Metadata)
			}
			if a.publishedBefore(now) || !a.publishedBefore(now.Add(1)) {
				t.Errorf("published at %v, which reads as %v", now, a.time)
			}
		}
	})
}

// FuzzForeign reads events that other programs may write.
func FuzzForeign(f *testing.F) {
	f.Add("id", "type", "m.a=b&u=x", "2026-01-02T03:04:05Z")
	f.Add("", eventType, "%zz;&=", "yesterday")
	f.Fuzz(func(t *testing.T, id, kind, extra, at string) {
		fields := map[string]*structpb.Value{extraAttribute: structpb.NewStringValue(extra), timeAttribute: structpb.NewStringValue(at), "n": structpb.NewNumberValue(1)}
		a := newReceivedEvent(&runtimev1.TopicEventRequest{Id: id, Type: kind, Extensions: &structpb.Struct{Fields: fields}})
		if d := a.delivery(); d.Metadata[""] != "" {
			t.Errorf("metadata without a name: %q", d.Metadata)
		}
		if _, err := a.encodeCopy(); err != nil {
			t.Error(err)
		}
		_ = a.publishedBefore(time.Now())
	})
}
