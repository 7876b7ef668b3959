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

// groupsTried is for how long it holds that components were found to be
// independent of each other.
const groupsTried = 24 * time.Hour

// tryPubSub takes the pubsub component out of use if it is not one whose ways
// are known, and fails if the URL names others that cannot stand beside it.
func (p *provider) tryPubSub(ctx context.Context, m *runtimev1.GetMetadataResponse, st *state) error {
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
		switch kind := kindOf(m, name); {
		case kind == "":
			return invalid("parameter \"group-pubsubs\" names %q, and the sidecar has no such component", name)
		case kind != c.kind:
			return invalid("parameter \"group-pubsubs\" names %q, which is of the kind %s and not of %s", name, kind, c.kind)
		case slices.Contains(names[:i], name):
			return invalid("the parameters \"pubsub\" and \"group-pubsubs\" name %q twice", name)
		}
	}
	if len(names) == 1 || p.independent {
		return nil
	}
	err := p.tryComponents(ctx, st.components[fairlead.KV].name, names)
	p.independent = err == nil
	return err
}

func kindOf(m *runtimev1.GetMetadataResponse, name string) string {
	for _, r := range m.GetRegisteredComponents() {
		if r.GetName() == name {
			return r.GetType()
		}
	}
	return ""
}

// trialRecord remembers, in the state component, a trial of components.
type trialRecord struct {
	Components string `json:"components"`
	At         int64  `json:"at"` // seconds since 1970
}

// tryComponents demands that each of the components gets what is published to
// a topic: those with the same consumerID would share it. Each trial leaves a
// topic behind, so it is not repeated before a day has passed.
func (p *provider) tryComponents(ctx context.Context, store string, names []string) error {
	key := p.config.prefix + "/pubsub-components"
	data, etag, err := p.readKey(ctx, store, key)
	if err != nil {
		return err
	}
	var last trialRecord
	all := strings.Join(names, ",")
	_ = json.Unmarshal(data, &last) // what cannot be read is no trial
	if last.Components == all && time.Since(time.Unix(last.At, 0)) < groupsTried {
		return nil
	}
	if err := p.tryTopic(ctx, names); err != nil {
		return err
	}
	data, err = json.Marshal(trialRecord{all, time.Now().Unix()})
	if err != nil {
		return fairlead.Errorf(fairlead.Internal, "encoding a trial: %w", err)
	}
	if err := p.writeKey(ctx, store, key, data, etag); err != nil && !raced(err) {
		return err
	}
	return nil
}

// tryTopic publishes a message to a new topic, to which all components
// subscribe.
func (p *provider) tryTopic(ctx context.Context, names []string) error {
	ctx, cancel := context.WithTimeout(ctx, linkTimeout)
	defer cancel()
	topic := "fairlead~trial~" + rand.Text()
	e, _ := newEnvelope(driver.Message{}, time.Now())
	data, err := json.Marshal(e)
	if err != nil {
		return fairlead.Errorf(fairlead.Internal, "encoding the event: %w", err)
	}
	if err := p.publish(ctx, names[0], topic, []entry{{data: data}}); err != nil {
		return err
	}
	errs := make([]error, len(names))
	var trials sync.WaitGroup
	for i, name := range names {
		trials.Go(func() { errs[i] = p.hears(ctx, name, topic) })
	}
	trials.Wait()
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// trialTimeout is how long a message may take.
const trialTimeout = 5 * time.Second

// hears demands that a component delivers a message of a topic.
func (p *provider) hears(ctx context.Context, component, topic string) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	l, err := p.link(ctx, component, topic, topic)
	if err != nil {
		return p.ended(ctx, ctx, mapErr(err, false))
	}
	timer := time.AfterFunc(trialTimeout, cancel)
	defer timer.Stop()
	m, err := l.stream.Recv()
	if !timer.Stop() {
		return invalid("of a topic with one message the pubsub component %q delivers none within %v; give each of the components in \"pubsub\" and \"group-pubsubs\" a consumerID of its own", component, trialTimeout)
	}
	if err != nil {
		return p.ended(ctx, ctx, mapErr(err, false))
	}
	l.answer(m.GetEventMessage().GetId())
	l.end()
	for err == nil { // until the sidecar has read the answer
		_, err = l.stream.Recv()
	}
	return nil
}
