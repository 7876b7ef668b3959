package pubsubcases

import (
	"strings"
	"time"

	"fairlead.dev"
	"fairlead.dev/conformance/internal/suite"
	"fairlead.dev/pubsub"
	"fairlead.dev/pubsub/driver"
)

// absentCalls has the calls that must return Unsupported if a claim does not hold.
// It has no entry for a claim that no call needs.
var absentCalls = map[fairlead.Claim]func(p *pipe){
	pubsub.OrderedByKey: func(p *pipe) {
		_, err := p.pub.Publish(p.Context(), pubsub.Message{Key: "k"})
		p.WantCode("Publish with a key", err, fairlead.Unsupported)
	},
	pubsub.Broadcast:   func(p *pipe) { p.wantSubscribeRefused("Broadcast", pubsub.WithoutGroup()) },
	pubsub.ReplayStart: func(p *pipe) { p.wantSubscribeRefused("FromStart", pubsub.Group(p.T.Name()), pubsub.FromStart()) },
	pubsub.ReplayTime: func(p *pipe) {
		p.wantSubscribeRefused("FromTime", pubsub.Group(p.T.Name()), pubsub.FromTime(time.Now()))
	},
	pubsub.ReplayPosition: func(p *pipe) {
		p.wantSubscribeRefused("FromPosition", pubsub.Group(p.T.Name()), pubsub.FromPosition("1"))
	},
	pubsub.DeliveryCount: func(p *pipe) {
		p.wantSubscribeRefused("DeadLetter", pubsub.Group(p.T.Name()), pubsub.DeadLetter(p.T.Name(), 3))
	},
	pubsub.NackDelay: func(p *pipe) {
		p.publishTexts("m")
		d := p.sub.receive(1)[0]
		p.WantCode("Nack with a delay", d.Nack(p.Context(), time.Millisecond), fairlead.Unsupported)
		p.sub.ackAll(d)
	},
	pubsub.Extend: func(p *pipe) {
		p.publishTexts("m")
		d := p.sub.receive(1)[0]
		p.WantCode("Extend", d.Extend(p.Context()), fairlead.Unsupported)
		p.sub.ackAll(d)
	},
	pubsub.Dedupe: func(p *pipe) {
		for range 2 {
			if r := p.publish(pubsub.Message{ID: "same", Body: []byte("m")})[0]; r.Duplicate {
				p.Errorf("a receipt says Duplicate, and Dedupe is not claimed")
			}
		}
		p.sub.wantTexts("two messages with one id", "m", "m")
	},
	pubsub.AtomicBatch: func(p *pipe) {
		_, err := p.pub.PublishAtomic(p.Context(), textMessages("a", "b")...)
		p.WantCode("PublishAtomic", err, fairlead.Unsupported)
	},
	pubsub.Manage: func(p *pipe) {
		_, err := pubsub.Topics(p.Context(), p.Provider(), p.topic)
		p.WantCode("Topics", err, fairlead.Unsupported)
		p.WantCode("DeleteTopic", pubsub.DeleteTopic(p.Context(), p.Provider(), p.topic), fairlead.Unsupported)
		p.WantCode("DeleteGroup", pubsub.DeleteGroup(p.Context(), p.Provider(), p.topic, p.group), fairlead.Unsupported)
		p.publishTexts("m")
		p.sub.wantTexts("after calls that are not supported", "m")
	},
}

func (p *pipe) wantSubscribeRefused(what string, opts ...pubsub.SubscribeOption) {
	_, err := pubsub.Subscribe(p.Context(), p.Provider(), p.topic, opts...)
	p.WantCode(what, err, fairlead.Unsupported)
}

// absentCases makes a case for each claim that the facet knows.
func absentCases() []suite.Case {
	var cases []suite.Case
	for _, info := range append(driver.Claims(), fairlead.CommonClaims()...) {
		c := suite.Case{
			Name: "pubsub/absent-" + strings.TrimPrefix(string(info.Claim), "pubsub."), Lacks: info.Claim,
			Rule: "without the claim " + string(info.Claim) + ", the calls that need it return Unsupported, and so does Require",
			Run: withPipe(func(p *pipe) {
				_, err := pubsub.Open(p.Context(), p.Provider(), p.topic, pubsub.Require(info.Claim))
				p.WantCode("Open with Require", err, fairlead.Unsupported)
				p.wantSubscribeRefused("Subscribe with Require", pubsub.Group(p.group), pubsub.Require(info.Claim))
				if call := absentCalls[info.Claim]; call != nil {
					call(p)
				}
			}),
		}
		if info.Claim == pubsub.Dedupe {
			c.Rule = "without the claim pubsub.Dedupe, messages with one id are all stored and Require answers Unsupported"
		}
		cases = append(cases, c)
	}
	return cases
}
