package dapr

import (
	"crypto/rand"
	"encoding/json"
	"net/url"
	"strings"
	"time"

	runtimev1 "github.com/dapr/dapr/pkg/proto/runtime/v1"
	"google.golang.org/protobuf/types/known/structpb"

	"fairlead.dev/pubsub/driver"
)

const (
	eventContentType = "application/cloudevents+json"
	bodyContentType  = "application/octet-stream"
	eventType        = "dev.fairlead.message"
	eventSource      = "fairlead"

	// The attributes of an event that the provider reads and writes. The runtime
	// drops the metadata of a publication, but keeps the attributes of an event.
	timeAttribute  = "time"
	extraAttribute = "fairlead"

	// The names within extraAttribute, which is a query string.
	extraUID      = "u"  // the uid of the event that this one is a copy of
	extraID       = "i"  // the publisher's name for the message
	extraMetadata = "m." // followed by the name
)

// envelope is an event as it is published. Its body is base64, the only encoding
// that the runtime does not change.
type envelope struct {
	SpecVersion string `json:"specversion"`
	ID          string `json:"id"`
	Source      string `json:"source"`
	Type        string `json:"type"`
	ContentType string `json:"datacontenttype"`
	Time        string `json:"time"`
	Extra       string `json:"fairlead,omitempty"`
	Body        []byte `json:"data_base64"`
}

// newEnvelope returns a message as an event, and the id that consumers see.
func newEnvelope(m driver.Message, now time.Time) (e envelope, id string) {
	e = envelope{
		SpecVersion: "1.0", ID: rand.Text(), Source: eventSource, Type: eventType,
		ContentType: bodyContentType, Time: now.UTC().Format(time.RFC3339Nano), Body: m.Body,
	}
	extra := url.Values{}
	if m.ID != "" {
		extra.Set(extraID, m.ID)
	}
	for name, value := range m.Metadata {
		extra.Set(extraMetadata+name, value)
	}
	e.Extra = extra.Encode()
	if m.ID != "" {
		return e, m.ID
	}
	return e, e.ID
}

// receivedEvent is an event that the runtime has delivered.
type receivedEvent struct {
	event *runtimev1.TopicEventRequest
	uid   string // the same for all copies of an event
	extra url.Values
	time  time.Time
	exact bool // time is not truncated to seconds
}

func newReceivedEvent(e *runtimev1.TopicEventRequest) receivedEvent {
	r := receivedEvent{event: e, uid: e.GetId()}
	// An attribute that cannot be parsed is from another program.
	r.extra, _ = url.ParseQuery(attribute(e, extraAttribute))
	if uid := r.extra.Get(extraUID); uid != "" {
		r.uid = uid
	}
	text := attribute(e, timeAttribute)
	r.time, _ = time.Parse(time.RFC3339Nano, text)
	r.exact = strings.Contains(text, ".") || e.GetType() == eventType
	return r
}

func attribute(e *runtimev1.TopicEventRequest, name string) string {
	return e.GetExtensions().GetFields()[name].GetStringValue()
}

// publishedBefore reports whether the event was certainly published before a
// time. The time that the runtime sets itself has a resolution of seconds.
func (r receivedEvent) publishedBefore(since time.Time) bool {
	published := r.time
	if !r.exact {
		published = published.Add(time.Second)
	}
	return published.Before(since)
}

// delivery returns the delivery of the event, without its body.
func (r receivedEvent) delivery() driver.Delivery {
	d := driver.Delivery{ID: r.extra.Get(extraID), Time: r.time}
	if d.ID == "" {
		d.ID = r.uid
	}
	for name, values := range r.extra {
		if name, ours := strings.CutPrefix(name, extraMetadata); ours && name != "" {
			r.setMetadata(&d, name, values[0])
		}
	}
	if r.event.GetType() != eventType {
		r.addForeignAttributes(&d)
	}
	return d
}

func (r receivedEvent) setMetadata(d *driver.Delivery, name, value string) {
	if d.Metadata == nil {
		d.Metadata = map[string]string{}
	}
	d.Metadata[name] = value
}

// addForeignAttributes adds the attributes of an event of another program to the
// metadata.
func (r receivedEvent) addForeignAttributes(d *driver.Delivery) {
	r.setMetadata(d, "content-type", r.event.GetDataContentType())
	r.setMetadata(d, "ce-source", r.event.GetSource())
	r.setMetadata(d, "ce-type", r.event.GetType())
	for name, value := range r.event.GetExtensions().GetFields() {
		if text, ok := value.GetKind().(*structpb.Value_StringValue); ok && name != extraAttribute {
			r.setMetadata(d, "ce-"+name, text.StringValue)
		}
	}
}

// encodeCopy returns a copy of the event with a new id: the runtime
// distinguishes the answers to two events of one stream by their ids.
func (r receivedEvent) encodeCopy() ([]byte, error) {
	all := map[string]any{}
	for name, value := range r.event.GetExtensions().GetFields() {
		all[name] = value.AsInterface()
	}
	extra := url.Values{extraUID: {r.uid}}
	for name, values := range r.extra {
		if name != extraUID {
			extra[name] = values
		}
	}
	all["specversion"], all["id"], all["source"] = "1.0", rand.Text(), r.event.GetSource()
	all["type"], all["datacontenttype"] = r.event.GetType(), r.event.GetDataContentType()
	all[extraAttribute], all["data_base64"] = extra.Encode(), r.event.GetData()
	return json.Marshal(all)
}
