package pubsubcases

import (
	"context"
	"fmt"
	"strings"
	"time"

	"fairlead.dev"
	"fairlead.dev/conformance/internal/suite"
	"fairlead.dev/pubsub"
)

var optionCases = []suite.Case{
	{Name: "pubsub/bad-names", Rule: "a topic or group name with a wrong form is Invalid, and creates nothing", Run: refusedNames},
	{Name: "pubsub/good-names", Rule: "names of 1 to 128 characters work, with every character that is allowed", Run: acceptedNames},
	{Name: "pubsub/bad-subscriptions", Rule: "options of a subscription that contradict each other or are out of range are Invalid", Run: withPipe(badSubscriptions)},
	{Name: "pubsub/bad-receive", Rule: "a limit below 1, a negative delay, and bad options of Handle are Invalid and take no message", Run: withPipe(badReceive)},
	{Name: "pubsub/require", Rule: "opening with Require works for all claims that hold; for a claim that does not hold it fails with Unsupported and names the claim", Run: requireClaims},
	{Name: "pubsub/min-deadline", Rule: "the shortest AckDeadline of the limits is accepted; a shorter one is Invalid", Run: minDeadline},
}

func refusedNames(t *suite.T) {
	good := t.Name()
	for _, bad := range []string{"", " ", "a b", "a/b", "a:b", "a*", ".a", "-a", "_a", "ä", "a\n", "a\x00", "{a}", strings.Repeat("a", 129)} {
		_, err := pubsub.Open(t.Context(), t.Provider(), bad)
		t.WantCode(fmt.Sprintf("opening the topic %.20q", bad), err, fairlead.Invalid)
		_, err = pubsub.Subscribe(t.Context(), t.Provider(), bad, pubsub.Group("g"))
		t.WantCode(fmt.Sprintf("subscribing to the topic %.20q", bad), err, fairlead.Invalid)
		_, err = pubsub.Subscribe(t.Context(), t.Provider(), good, pubsub.Group(bad))
		t.WantCode(fmt.Sprintf("joining the group %.20q", bad), err, fairlead.Invalid)
	}
	p := newPipe(t)
	p.publishTexts("m")
	p.sub.wantTexts("after bad names", "m")
}

func acceptedNames(t *suite.T) {
	base := t.Name()
	long := base + strings.Repeat("x", 128-len(base))
	names := map[string]string{base + ".A-z_0..9": "A-z_0..9.", long: long, base + "-": "0", base + ".": "Z", base + "_": strings.Repeat("9", 128)}
	subs := map[string]*consumer{}
	for topic, group := range names {
		subs[topic] = &consumer{t.Subscribe(topic, pubsub.Group(group)), t}
	}
	for topic := range names {
		_, err := t.Topic(topic).Publish(t.Context(), pubsub.Message{Body: []byte(topic)})
		t.Must(err)
	}
	for topic, sub := range subs {
		sub.wantTexts(fmt.Sprintf("the topic %q", topic), topic)
		sub.wantSilence("one message was published")
	}
}

func badSubscriptions(p *pipe) {
	group := pubsub.Group(p.T.Name())
	for what, opts := range map[string][]pubsub.SubscribeOption{
		"neither group nor broadcast":        nil,
		"both group and broadcast":           {group, pubsub.WithoutGroup()},
		"an AckDeadline of 0":                {group, pubsub.AckDeadline(0)},
		"a negative AckDeadline":             {group, pubsub.AckDeadline(-time.Second)},
		"two starting points":                {group, pubsub.FromStart(), pubsub.FromTime(time.Now())},
		"no attempts before the dead letter": {group, pubsub.DeadLetter(p.T.Name(), 0)},
		"a bad dead letter topic":            {group, pubsub.DeadLetter("no name", 3)},
		"the topic as its own dead letters":  {group, pubsub.DeadLetter(p.topic, 3)},
		"nil as a requirement":               {group, pubsub.Require(nil)},
	} {
		_, err := pubsub.Subscribe(p.Context(), p.Provider(), p.topic, opts...)
		p.WantCode(what, err, fairlead.Invalid)
	}
	p.publishTexts("m")
	p.sub.wantTexts("after bad subscriptions", "m")
}

func badReceive(p *pipe) {
	p.publishTexts("m")
	for _, limit := range []int{0, -1} {
		_, err := p.sub.ReceiveMany(p.Context(), limit)
		p.WantCode(fmt.Sprintf("ReceiveMany(%d)", limit), err, fairlead.Invalid)
	}
	for what, opt := range map[string]pubsub.HandleOption{
		"Concurrency(0)": pubsub.Concurrency(0), "Prefetch(-1)": pubsub.Prefetch(-1), "RetryDelay(nil)": pubsub.RetryDelay(nil),
	} {
		err := p.sub.Handle(p.Context(), func(context.Context, *pubsub.Delivery) error { return nil }, opt)
		p.WantCode("Handle with "+what, err, fairlead.Invalid)
	}
	d := p.sub.receive(1)[0]
	p.WantCode("a negative delay", d.Nack(p.Context(), -time.Second), fairlead.Invalid)
	p.sub.ackAll(d)
	p.sub.wantSilence("it was acknowledged after bad calls")
}

func requireClaims(t *suite.T) {
	var claimed []fairlead.Requirement
	for _, c := range t.Facet().Claims {
		claimed = append(claimed, c)
	}
	name := t.Name()
	sub, err := pubsub.Subscribe(t.Context(), t.Provider(), name, pubsub.Group("g"), pubsub.Require(claimed...))
	t.Must(err)
	t.Cleanup(sub.Close)
	topic, err := pubsub.Open(t.Context(), t.Provider(), name, pubsub.Require(claimed...))
	t.Must(err)
	t.Cleanup(topic.Close)
	_, err = topic.Publish(t.Context(), pubsub.Message{Body: []byte("m")})
	t.Must(err)
	(&consumer{sub, t}).wantTexts("through handles that require all that is claimed", "m")
	const none = fairlead.Claim("pubsub.NoSuchClaim")
	_, err = pubsub.Open(t.Context(), t.Provider(), name, pubsub.Require(none))
	t.WantCode("Open with a requirement that does not hold", err, fairlead.Unsupported)
	if err != nil && !strings.Contains(err.Error(), string(none)) {
		t.Errorf("the error does not name what is missing: %v", err)
	}
	_, err = pubsub.Subscribe(t.Context(), t.Provider(), name, pubsub.Group("g"), pubsub.Require(none))
	t.WantCode("Subscribe with a requirement that does not hold", err, fairlead.Unsupported)
}

func minDeadline(t *suite.T) {
	least := t.Facet().Limits.MinAckDeadline
	_, err := pubsub.Subscribe(t.Context(), t.Provider(), t.Name(), pubsub.Group("g"), pubsub.AckDeadline(least-1))
	t.WantCode("an AckDeadline below the least", err, fairlead.Invalid)
	// Whether a message arrives before such a short lease ends depends on the
	// connection to the backend, so a longer lease shows the delivery.
	p := newPipe(t, pubsub.AckDeadline(max(least, 1)))
	p.publishTexts("m")
	p.join(withShortLease(t)).wantTexts("beside a consumer with the shortest AckDeadline", "m")
}
