package dapr

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"slices"
	"strings"
	"sync"
	"time"

	runtimev1 "github.com/dapr/dapr/pkg/proto/runtime/v1"

	"fairlead.dev"
	"fairlead.dev/pubsub/driver"
)

// independencePeriod is how long the result of checking that components are
// independent is valid.
const independencePeriod = 24 * time.Hour

// checkPubSubComponents removes the pubsub component from the state if its
// behaviour is not known. It fails if the URL names further components that
// cannot be used with it.
func (p *provider) checkPubSubComponents(ctx context.Context, m *runtimev1.GetMetadataResponse, st *sidecarState) error {
	c, ok := st.components[fairlead.PubSub]
	if !ok {
		return nil
	}
	if defect := st.pubsubDefect(); defect != "" {
		delete(st.components, fairlead.PubSub)
		st.unsound[fairlead.PubSub] = "component " + c.name + ", " + c.kind + ": " + defect
		return nil
	}
	names := append([]string{c.name}, p.config.groupComponents...)
	for i, name := range names {
		switch kind := kindOfComponent(m, name); {
		case kind == "":
			return invalid("setting \"group-pubsubs\" names %q, but the sidecar has no such component", name)
		case kind != c.kind:
			return invalid("setting \"group-pubsubs\" names %q, which is of the type %s instead of %s", name, kind, c.kind)
		case slices.Contains(names[:i], name):
			return invalid("the settings \"pubsub\" and \"group-pubsubs\" name %q twice", name)
		}
	}
	if len(names) == 1 || p.independent {
		return nil
	}
	err := p.checkIndependence(ctx, st.components[fairlead.KV].name, names)
	p.independent = err == nil
	return err
}

func kindOfComponent(m *runtimev1.GetMetadataResponse, name string) string {
	for _, r := range m.GetRegisteredComponents() {
		if r.GetName() == name {
			return r.GetType()
		}
	}
	return ""
}

// independenceRecord stores a check of components in the state component.
type independenceRecord struct {
	Components string `json:"components"`
	At         int64  `json:"at"` // seconds since 1970
}

// checkIndependence requires that each of the components receives a message of a
// topic: components with the same consumerID would share it. The topic of a check is
// not removed, so the check is not repeated within a day.
func (p *provider) checkIndependence(ctx context.Context, store string, names []string) error {
	key := p.config.prefix + "/pubsub-components"
	data, etag, err := p.readKey(ctx, store, key)
	if err != nil {
		return err
	}
	var last independenceRecord
	all := strings.Join(names, ",")
	_ = json.Unmarshal(data, &last) // a record that cannot be read is ignored
	if last.Components == all && time.Since(time.Unix(last.At, 0)) < independencePeriod {
		return nil
	}
	if err := p.checkAllDeliver(ctx, names); err != nil {
		return err
	}
	data, err = json.Marshal(independenceRecord{all, time.Now().Unix()})
	if err != nil {
		return fairlead.Errorf(fairlead.Internal, "encoding the record of a check: %w", err)
	}
	if err := p.writeKey(ctx, store, key, data, etag); err != nil && !mayHaveRaced(err) {
		return err
	}
	return nil
}

// checkAllDeliver publishes a message to a new topic, which all components
// subscribe to.
func (p *provider) checkAllDeliver(ctx context.Context, names []string) error {
	ctx, cancel := context.WithTimeout(ctx, subscribeTimeout)
	defer cancel()
	topic := "fairlead~trial~" + rand.Text()
	e, _ := newEnvelope(driver.Message{}, time.Now())
	data, err := json.Marshal(e)
	if err != nil {
		return fairlead.Errorf(fairlead.Internal, "encoding the event: %w", err)
	}
	if err := p.publish(ctx, names[0], topic, []encodedEvent{{data: data}}); err != nil {
		return err
	}
	errs := make([]error, len(names))
	var trials sync.WaitGroup
	for i, name := range names {
		trials.Go(func() { errs[i] = p.checkDelivers(ctx, name, topic) })
	}
	trials.Wait()
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// deliveryTimeout is how long the delivery of the message may take.
const deliveryTimeout = 5 * time.Second

// checkDelivers requires that a component delivers the message of a topic.
func (p *provider) checkDelivers(ctx context.Context, component, topic string) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stream, err := p.openEventStream(ctx, component, topic, topic)
	if err != nil {
		return p.explainEnd(ctx, err)
	}
	timer := time.AfterFunc(deliveryTimeout, cancel)
	defer timer.Stop()
	m, err := stream.stream.Recv()
	if !timer.Stop() {
		return invalid("the pubsub component %q did not deliver the message of a topic within %v; give each component in \"pubsub\" and \"group-pubsubs\" its own consumerID", component, deliveryTimeout)
	}
	if err != nil {
		return p.explainEnd(ctx, err)
	}
	stream.answer(m.GetEventMessage().GetId())
	stream.end()
	for err == nil { // until the sidecar has read the answer and ends the stream
		_, err = stream.stream.Recv()
	}
	return nil
}
