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

	// The attributes of an event that are read and written here. The runtime
	// drops the metadata of a publication, and keeps the attributes of an event.
	timeAttribute  = "time"
	extraAttribute = "fairlead"

	// The names within extraAttribute, which is a query string.
	extraUID      = "u"  // the event of which this one is a copy
	extraID       = "i"  // the publisher's name for the message
	extraMetadata = "m." // and the name
)

// envelope is an event as it is published. Its body is base64, which is the
// one form that the runtime does not touch.
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

// newEnvelope is a message as an event, and the id under which it arrives.
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

// arrival is an event as it comes.
type arrival struct {
	event *runtimev1.TopicEventRequest
	uid   string // the same for all copies of an event
	extra url.Values
	time  time.Time
	exact bool // time is not cut to seconds
}

func newArrival(e *runtimev1.TopicEventRequest) arrival {
	a := arrival{event: e, uid: e.GetId()}
	// An attribute that cannot be parsed is somebody else's.
	a.extra, _ = url.ParseQuery(attribute(e, extraAttribute))
	if uid := a.extra.Get(extraUID); uid != "" {
		a.uid = uid
	}
	text := attribute(e, timeAttribute)
	a.time, _ = time.Parse(time.RFC3339Nano, text)
	a.exact = strings.Contains(text, ".") || e.GetType() == eventType
	return a
}

func attribute(e *runtimev1.TopicEventRequest, name string) string {
	return e.GetExtensions().GetFields()[name].GetStringValue()
}

// before reports whether the event was surely published before a time. The
// time that the runtime itself gives an event has seconds only.
func (a arrival) before(since time.Time) bool {
	published := a.time
	if !a.exact {
		published = published.Add(time.Second)
	}
	return published.Before(since)
}

// delivery is what a consumer gets of the event, but for the body.
func (a arrival) delivery() driver.Delivery {
	d := driver.Delivery{ID: a.extra.Get(extraID), Time: a.time}
	if d.ID == "" {
		d.ID = a.uid
	}
	for name, values := range a.extra {
		if name, ours := strings.CutPrefix(name, extraMetadata); ours && name != "" {
			a.note(&d, name, values[0])
		}
	}
	if a.event.GetType() != eventType {
		a.foreign(&d)
	}
	return d
}

func (a arrival) note(d *driver.Delivery, name, value string) {
	if d.Metadata == nil {
		d.Metadata = map[string]string{}
	}
	d.Metadata[name] = value
}

// foreign adds the attributes of an event that another program has published.
func (a arrival) foreign(d *driver.Delivery) {
	a.note(d, "content-type", a.event.GetDataContentType())
	a.note(d, "ce-source", a.event.GetSource())
	a.note(d, "ce-type", a.event.GetType())
	for name, value := range a.event.GetExtensions().GetFields() {
		if text, ok := value.GetKind().(*structpb.Value_StringValue); ok && name != extraAttribute {
			a.note(d, "ce-"+name, text.StringValue)
		}
	}
}

// copy is the event once more, under an id of its own: the runtime tells the
// answers to two events of one stream apart by their ids.
func (a arrival) copy() ([]byte, error) {
	all := map[string]any{}
	for name, value := range a.event.GetExtensions().GetFields() {
		all[name] = value.AsInterface()
	}
	extra := url.Values{extraUID: {a.uid}}
	for name, values := range a.extra {
		if name != extraUID {
			extra[name] = values
		}
	}
	all["specversion"], all["id"], all["source"] = "1.0", rand.Text(), a.event.GetSource()
	all["type"], all["datacontenttype"] = a.event.GetType(), a.event.GetDataContentType()
	all[extraAttribute], all["data_base64"] = extra.Encode(), a.event.GetData()
	return json.Marshal(all)
}
