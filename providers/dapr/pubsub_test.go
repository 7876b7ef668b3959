package dapr_test

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	runtimev1 "github.com/dapr/dapr/pkg/proto/runtime/v1"
	"go.uber.org/goleak"

	"fairlead.dev"
	"fairlead.dev/internal/dev/check"
	"fairlead.dev/internal/dev/testbed"
	"fairlead.dev/pubsub"
)

const trialParams = "&processing-timeout=2s&clock-skew=20ms"

// broker adds a state component and pubsub components on a Redis. The arguments are
// pairs: the name of a pubsub component and its consumerID.
func broker(redis string, consumers ...string) []testbed.DaprOption {
	opts := []testbed.DaprOption{testbed.DaprComponent(testbed.DaprState, "state.redis", map[string]string{"redisHost": redis})}
	for i := 0; i < len(consumers); i += 2 {
		opts = append(opts, testbed.DaprComponent(consumers[i], "pubsub.redis", map[string]string{
			"redisHost": redis, "consumerID": consumers[i+1], "concurrency": "300", "queueDepth": "300", "poolSize": "40",
			"processingTimeout": "2000", "redeliverInterval": "300", "readTimeout": "500ms",
		}))
	}
	return opts
}

func topicOf(t *testing.T, p fairlead.Provider, name string) *pubsub.Topic {
	t.Helper()
	topic, err := pubsub.Open(t.Context(), p, name)
	check.NoError(t, err)
	t.Cleanup(func() { _ = topic.Close(context.WithoutCancel(t.Context())) })
	return topic
}

func subscribe(t *testing.T, p fairlead.Provider, topic, group string, opts ...pubsub.SubscribeOption) *pubsub.Subscription {
	t.Helper()
	s, err := pubsub.Subscribe(t.Context(), p, topic, append(opts, pubsub.Group(group))...)
	check.NoError(t, err)
	t.Cleanup(func() { _ = s.Close(context.WithoutCancel(t.Context())) })
	return s
}

// collect receives and acknowledges until all bodies have come, and returns how
// often each body came.
func collect(t *testing.T, s *pubsub.Subscription, want []string) map[string]int {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	got := map[string]int{}
	missing := func() bool { return slices.ContainsFunc(want, func(body string) bool { return got[body] == 0 }) }
	for missing() {
		d, err := s.Receive(ctx)
		if fairlead.CodeOf(err) == fairlead.Unavailable {
			continue // the sidecar comes back
		}
		if err != nil {
			t.Fatalf("%d of %d messages came: %v", len(got), len(want), err)
		}
		got[string(d.Body)]++
		check.NoError(t, d.Ack(ctx))
	}
	return got
}

func quiet(t *testing.T, s *pubsub.Subscription, d time.Duration) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), d)
	defer cancel()
	if d, err := s.Receive(ctx); err == nil {
		t.Errorf("%s came", d.Body)
	}
}

func bodies(prefix string, n int) (all []string, msgs []pubsub.Message) {
	for i := range n {
		all = append(all, fmt.Sprintf("%s%04d", prefix, i))
		msgs = append(msgs, pubsub.Message{Body: []byte(all[i])})
	}
	return all, msgs
}

// publish publishes messages, and tries again while the sidecar is down.
func publish(t *testing.T, topic *pubsub.Topic, msgs []pubsub.Message) {
	t.Helper()
	check.Eventually(t, "a publication", func() bool {
		_, err := topic.PublishMany(t.Context(), msgs...)
		if err != nil && fairlead.CodeOf(err) != fairlead.Unavailable {
			t.Fatal(err)
		}
		return err == nil
	})
}

// TestGroupsNeedComponents opens one group more than there are components.
func TestGroupsNeedComponents(t *testing.T) {
	t.Parallel()
	s := testbed.Dapr(t, broker(testbed.Redis(t).Addr(), "a", "a", "b", "b")...)
	url := s.URL() + "?pubsub=a&group-pubsubs=b" + trialParams
	p := open(t, url)
	subscribe(t, p, "orders", "one")
	subscribe(t, p, "orders", "two")
	subscribe(t, p, "orders", "one")
	subscribe(t, p, "others", "three")
	_, err := pubsub.Subscribe(t.Context(), p, "orders", pubsub.Group("three"))
	check.Code(t, err, fairlead.Invalid)
	if !strings.Contains(fmt.Sprint(err), "group-pubsubs") {
		t.Errorf("the error does not say what to do: %v", err)
	}
	only := open(t, strings.Replace(url, "&group-pubsubs=b", "", 1))
	_, err = pubsub.Subscribe(t.Context(), only, "orders", pubsub.Group("two"))
	check.Code(t, err, fairlead.Invalid)
}

// TestComponentsMustDiffer names components that cannot be used together.
func TestComponentsMustDiffer(t *testing.T) {
	t.Parallel()
	s := testbed.Dapr(t, broker(testbed.Redis(t).Addr(), "a", "a", "b", "b", "same", "a")...)
	for others, want := range map[string]string{"none": "no such component", "b,a": "twice", testbed.DaprState: "state.redis", "same": "consumerID"} {
		_, err := fairlead.Open(t.Context(), s.URL()+"?pubsub=a&group-pubsubs="+others+trialParams)
		check.Code(t, err, fairlead.Invalid)
		if !strings.Contains(fmt.Sprint(err), want) {
			t.Errorf("with %s: want an error that says %q, got %v", others, want, err)
		}
	}
}

// TestUnsoundBroker: the pubsub facet is not offered where it is not possible, and
// the notes give the reason.
func TestUnsoundBroker(t *testing.T) {
	t.Parallel()
	redis := testbed.Redis(t).Addr()
	for want, opts := range map[string][]testbed.DaprOption{
		"drops messages that its subscriber does not acknowledge": {testbed.DaprInMemory()},
		"the sidecar has no state.redis":                          broker(redis, "a", "a")[1:],
	} {
		d, err := open(t, testbed.Dapr(t, opts...).URL()).Describe(t.Context())
		check.NoError(t, err)
		if _, offered := d.Facet(fairlead.PubSub); offered || !strings.Contains(strings.Join(d.Notes, "\n"), want) {
			t.Errorf("pubsub offered: %v; want a note with %q: %q", offered, want, d.Notes)
		}
	}
}

// TestLongHold holds a message several times longer than the runtime waits: no
// other consumer gets it, and it does not come again after its acknowledgement.
func TestLongHold(t *testing.T) {
	t.Parallel()
	s := testbed.Dapr(t, broker(testbed.Redis(t).Addr(), "a", "a")...)
	p := open(t, s.URL()+"?pubsub=a"+trialParams)
	sub, other := subscribe(t, p, "orders", "g"), subscribe(t, p, "orders", "g")
	all, msgs := bodies("m", 20)
	publish(t, topicOf(t, p, "orders"), msgs)
	held, err := sub.ReceiveMany(t.Context(), len(all))
	check.NoError(t, err)
	for len(held) < len(all) {
		more, err := sub.ReceiveMany(t.Context(), len(all))
		check.NoError(t, err)
		held = append(held, more...)
	}
	quiet(t, other, 5*time.Second)
	for _, d := range held {
		check.NoError(t, d.Ack(t.Context()))
	}
	quiet(t, other, 3*time.Second)
	check.NoError(t, p.Close(t.Context()))
	again := open(t, s.URL()+"?pubsub=a"+trialParams)
	quiet(t, subscribe(t, again, "orders", "g"), 3*time.Second)
}

// TestBacklog opens a subscription repeatedly on a full queue. The runtime
// delivers before its stream is ready. It drops messages that fail then, unless
// there is a dead letter topic.
func TestBacklog(t *testing.T) {
	t.Parallel()
	s := testbed.Dapr(t, broker(testbed.Redis(t).Addr(), "a", "a")...)
	url := s.URL() + "?pubsub=a" + trialParams
	publisher := open(t, url)
	check.NoError(t, subscribe(t, publisher, "orders", "g").Close(t.Context()))
	for round := range 3 {
		all, msgs := bodies(fmt.Sprintf("r%d-", round), 300)
		publish(t, topicOf(t, publisher, "orders"), msgs)
		p := open(t, url)
		collect(t, subscribe(t, p, "orders", "g"), all)
		check.NoError(t, p.Close(t.Context()))
	}
}

// TestCrash kills a consumer that holds messages, a sidecar, and the broker.
// Every message is still delivered.
func TestCrash(t *testing.T) {
	t.Parallel()
	redis := testbed.Redis(t)
	s := testbed.Dapr(t, broker(redis.Addr(), "a", "a")...)
	url := s.URL() + "?pubsub=a" + trialParams
	p := open(t, url)
	topic := topicOf(t, p, "orders")
	held := consumeInChild(t, url, 10, func(n int) []string {
		all, msgs := bodies("m", n)
		publish(t, topic, msgs)
		return all
	})
	sub := subscribe(t, p, "orders", "g")
	collect(t, sub, held)
	for what, c := range map[string]interface {
		Kill(context.Context) error
		Start(context.Context) error
	}{"sidecar": s, "redis": redis} {
		all, msgs := bodies(what, 50)
		publish(t, topic, msgs)
		d, err := sub.Receive(t.Context())
		check.NoError(t, err)
		check.NoError(t, c.Kill(t.Context()))
		check.NoError(t, c.Start(t.Context()))
		check.NoError(t, d.Ack(t.Context()))
		all = slices.DeleteFunc(all, func(body string) bool { return body == string(d.Body) })
		collect(t, sub, all)
	}
}

// consumeInChild starts a child process that receives n messages, and then kills
// it. The messages are published once the child is ready. It returns their bodies.
func consumeInChild(t *testing.T, url string, n int, publish func(n int) []string) []string {
	t.Helper()
	child := exec.CommandContext(t.Context(), os.Args[0], "-test.run", "^TestChild$")
	child.Env = append(os.Environ(), childURL+"="+url)
	out, err := child.StdoutPipe()
	check.NoError(t, err)
	check.NoError(t, child.Start())
	lines := bufio.NewScanner(out)
	var all []string
	for lines.Scan() {
		switch line := lines.Text(); {
		case line == "ready":
			all = publish(n)
		case strings.HasPrefix(line, "got "):
			n--
		}
		if n == 0 {
			break
		}
	}
	check.NoError(t, child.Process.Kill())
	_ = child.Wait() // it was killed
	if n > 0 {
		t.Fatalf("the child did not get %d messages", n)
	}
	return all
}

const childURL = "FAIRLEAD_TEST_DAPR_CHILD"

// TestChild is the child process of TestCrash.
func TestChild(t *testing.T) {
	url := os.Getenv(childURL)
	if url == "" {
		return
	}
	sub := subscribe(t, open(t, url), "orders", "g")
	fmt.Println("ready")
	for {
		d, err := sub.Receive(t.Context())
		check.NoError(t, err)
		fmt.Printf("got %s\n", d.Body)
	}
}

// TestNative exchanges events with programs that use Dapr without Fairlead.
func TestNative(t *testing.T) {
	t.Parallel()
	s := testbed.Dapr(t, broker(testbed.Redis(t).Addr(), "a", "a", "native", "native")...)
	p := open(t, s.URL()+"?pubsub=a"+trialParams)
	sub := subscribe(t, p, "orders", "g")
	var client runtimev1.DaprClient
	if !fairlead.As(p, &client) {
		t.Fatal("no client")
	}
	_, err := client.PublishEvent(t.Context(), &runtimev1.PublishEventRequest{
		PubsubName: "a", Topic: "orders", Data: []byte(`{"n":1}`), DataContentType: "application/json",
		Metadata: map[string]string{"cloudevent.id": "its id", "cloudevent.type": "its.type"},
	})
	check.NoError(t, err)
	d, err := sub.Receive(t.Context())
	check.NoError(t, err)
	if d.ID != "its id" || string(d.Body) != `{"n":1}` || d.Metadata["ce-type"] != "its.type" || d.Metadata["content-type"] != "application/json" {
		t.Errorf("%q %q %q", d.ID, d.Body, d.Metadata)
	}
	check.NoError(t, d.Ack(t.Context()))
	_, err = topicOf(t, p, "orders").Publish(t.Context(), pubsub.Message{Body: []byte("\x00ours\xff")})
	check.NoError(t, err)
	got := map[string]string{}
	for _, e := range nativeEvents(t, client, "native", "orders", 2) {
		got[string(e.GetData())] = e.GetDataContentType()
	}
	if got["\x00ours\xff"] != "application/octet-stream" || got[`{"n":1}`] != "application/json" {
		t.Errorf("a native subscriber got %q", got)
	}
}

// nativeEvents receives and acknowledges events as any Dapr program does.
func nativeEvents(t *testing.T, client runtimev1.DaprClient, component, topic string, n int) map[string]*runtimev1.TopicEventRequest {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	all := map[string]*runtimev1.TopicEventRequest{}
	dead := topic // without it, messages that come before the stream is ready are lost
	stream, err := client.SubscribeTopicEventsAlpha1(ctx)
	check.NoError(t, err)
	check.NoError(t, stream.Send(&runtimev1.SubscribeTopicEventsRequestAlpha1{
		SubscribeTopicEventsRequestType: &runtimev1.SubscribeTopicEventsRequestAlpha1_InitialRequest{
			InitialRequest: &runtimev1.SubscribeTopicEventsRequestInitialAlpha1{PubsubName: component, Topic: topic, DeadLetterTopic: &dead},
		},
	}))
	for len(all) < n {
		m, err := stream.Recv()
		check.NoError(t, err)
		e := m.GetEventMessage()
		if e == nil {
			continue
		}
		all[e.GetId()] = e
		check.NoError(t, stream.Send(&runtimev1.SubscribeTopicEventsRequestAlpha1{
			SubscribeTopicEventsRequestType: &runtimev1.SubscribeTopicEventsRequestAlpha1_EventProcessed{
				EventProcessed: &runtimev1.SubscribeTopicEventsRequestProcessedAlpha1{Id: e.GetId(), Status: &runtimev1.TopicEventResponse{}},
			},
		}))
	}
	return all
}

// TestNothingLeaks closes a provider while handles are open.
func TestNothingLeaks(t *testing.T) {
	s := testbed.Dapr(t, append(broker(testbed.Redis(t).Addr(), "a", "a"), testbed.DaprAppPort(testbed.Port(t)))...)
	before := goleak.IgnoreCurrent()
	p, err := fairlead.Open(t.Context(), s.URL()+"?pubsub=a&app=app"+trialParams)
	check.NoError(t, err)
	sub, err := pubsub.Subscribe(t.Context(), p, "orders", pubsub.Group("g"))
	check.NoError(t, err)
	publish(t, topicOf(t, p, "orders"), []pubsub.Message{{Body: []byte("held")}})
	_, err = sub.Receive(t.Context())
	check.NoError(t, err)
	greet(t, p, p, "greeter")
	check.NoError(t, p.Close(t.Context()))
	check.Code(t, sub.Close(t.Context()), 0)
	goleak.VerifyNone(t, before)
}
