package pubsubcases

import (
	"context"
	"runtime"
	"slices"
	"strings"
	"sync"

	"fairlead.dev"
	"fairlead.dev/conformance/internal/suite"
	"fairlead.dev/pubsub"
)

var managingBroadcast = []fairlead.Claim{pubsub.Manage, pubsub.Broadcast}

// operatorCases are about what people and other programs do to topics that are in
// use.
var operatorCases = []suite.Case{
	{Name: "pubsub/topic-deleted-group", Needs: managing,
		Rule: "a consumer of a group whose topic is deleted reports Compacted once, and receives what is published afterwards, also through a handle that was open before; nothing older comes",
		Run:  withPipe(func(p *pipe) { topicDeleted(p, p.sub) })},
	{Name: "pubsub/topic-deleted-broadcast", Needs: managingBroadcast,
		Rule: "a subscription without a group whose topic is deleted reports Compacted once, and receives what is published afterwards; nothing older comes",
		Run:  withPipe(func(p *pipe) { topicDeleted(p, p.subscribe(pubsub.WithoutGroup())) })},
	{Name: "pubsub/group-deleted", Needs: managing,
		Rule: "a consumer of a group that is deleted fails with NotFound: what it does not acknowledge is kept for nobody",
		Run: withPipe(func(p *pipe) {
			p.publishTexts("old")
			p.sub.receiveAndAck(1)
			p.Must(pubsub.DeleteGroup(p.Context(), p.Provider(), p.topic, p.group))
			p.publishTexts("new")
			ds, err := p.sub.receiveBatch(1)
			p.WantCode("receiving "+excerpt(bodies(ds))+" in a group that was deleted", err, fairlead.NotFound)
		})},
	{Name: "pubsub/group-deleted-handle", Needs: managing,
		Rule: "Handle ends with NotFound if its group is deleted, also while a message of it is handled",
		Run: withPipe(func(p *pipe) {
			p.publishTexts("m")
			began, release, ended := make(chan struct{}), make(chan struct{}), make(chan error, 1)
			free := sync.OnceFunc(func() { close(release) })
			defer free()
			begin := sync.OnceFunc(func() { close(began) })
			go func() {
				ended <- p.sub.Handle(p.Context(), func(context.Context, *pubsub.Delivery) error {
					begin()
					<-release
					return nil
				})
			}()
			receiveFrom(p.T, "the handler gets the message", began)
			p.Must(pubsub.DeleteGroup(p.Context(), p.Provider(), p.topic, p.group))
			free()
			p.WantCode("Handle in a group that was deleted", receiveFrom(p.T, "Handle ends after its group was deleted", ended), fairlead.NotFound)
		})},
	{Name: "pubsub/purged-group", Operate: true,
		Rule: "if messages are purged that a group has not received, its consumer reports Compacted once, and receives what is published afterwards",
		Run:  withPipe(func(p *pipe) { topicPurged(p, p.sub) })},
	{Name: "pubsub/purged-broadcast", Operate: true, Needs: []fairlead.Claim{pubsub.Broadcast},
		Rule: "if messages are purged that a subscription without a group has not received, it reports Compacted once, and receives what is published afterwards",
		Run:  withPipe(func(p *pipe) { topicPurged(p, p.subscribe(pubsub.WithoutGroup())) })},
	{Name: "pubsub/foreign-group", Operate: true,
		Rule: "an entry among the messages that another program wrote is reported once at most, and holds nothing up in a group",
		Run:  withPipe(func(p *pipe) { foreignMessage(p, p.sub) })},
	{Name: "pubsub/foreign-broadcast", Operate: true, Needs: []fairlead.Claim{pubsub.Broadcast},
		Rule: "an entry among the messages that another program wrote is reported once at most, and holds nothing up in a subscription without a group",
		Run:  withPipe(func(p *pipe) { foreignMessage(p, p.subscribe(pubsub.WithoutGroup())) })},
}

func topicDeleted(p *pipe, sub *consumer) {
	p.publishTexts("first")
	sub.receiveAndAck(1)
	p.publishTexts("old")
	p.Must(pubsub.DeleteTopic(p.Context(), p.Provider(), p.topic))
	p.publishTexts("new", "newer")
	came, errs := sub.receiveUntil("new", "newer")
	if slices.Contains(came, "old") {
		p.Errorf("a message of the topic that was deleted came: %s", excerpt(came))
	}
	wantReported(p, errs, fairlead.Compacted, 1, 1)
}

func topicPurged(p *pipe, sub *consumer) {
	p.publishTexts("first")
	sub.receiveAndAck(1)
	p.publishTexts("a", "b", "c")
	p.Must(p.Operator().PurgeTopic(p.Context(), p.topic))
	p.publishTexts("new")
	came, errs := sub.receiveUntil("new")
	lost := 3
	for _, body := range []string{"a", "b", "c"} {
		if slices.Contains(came, body) { // it had been fetched before
			lost--
		}
	}
	if lost == 0 && p.Facet().Has(pubsub.ReplayStart) {
		p.checkPurged()
	}
	p.Logf("%d of 3 messages that were purged did not come", lost)
	if lost > 0 && len(errs) == 0 { // it may notice the loss after the next message
		ds, err := sub.receiveBatch(1)
		if err == nil {
			p.Fatalf("after all messages had come, %s came", excerpt(bodies(ds)))
		}
		errs = append(errs, err)
	}
	wantReported(p, errs, fairlead.Compacted, min(lost, 1), 1)
}

// checkPurged blocks the case if a new group still receives what was purged, for
// example because a command names another server.
func (p *pipe) checkPurged() {
	late, _ := p.joinGroup(p.Name(), pubsub.FromStart()).receiveUntil("new")
	if slices.Contains(late, "a") {
		p.Block("purging the topic %s removed nothing; does it reach the same server, with the same prefix?", p.topic)
		runtime.Goexit()
	}
}

func foreignMessage(p *pipe, sub *consumer) {
	p.publishTexts("a")
	p.Must(p.Operator().InsertMessage(p.Context(), p.topic))
	p.publishTexts("b")
	came, errs := sub.receiveUntil("a", "b")
	wantReported(p, errs, fairlead.Internal, 0, 1)
	reported := len(errs)
	p.publishTexts("c")
	last, errs := sub.receiveUntil("c")
	wantReported(p, errs, fairlead.Internal, 0, 0)
	if reported == 0 && len(came)+len(last) == 3 {
		p.Block("inserting an entry into the topic %s changed nothing: it was neither delivered nor reported; does it reach the same server, with the same prefix? A provider that passes over such an entry in silence looks the same", p.topic)
	}
}

// receiveUntil receives and acknowledges messages until all of some bodies have
// come. It returns all bodies that came, and the errors.
func (c *consumer) receiveUntil(bodies ...string) (came []string, errs []error) {
	left := slices.Clone(bodies)
	for len(left) > 0 {
		ds, err := c.receiveBatch(10)
		if err != nil {
			errs = append(errs, err)
		}
		if len(errs) > 5 || fairlead.CodeOf(err) == fairlead.DeadlineExceeded {
			c.t.Fatalf("not received: %s; the errors are %v", strings.Join(left, ", "), errs)
		}
		for _, d := range ds {
			body := string(d.Body)
			came = append(came, body)
			left = slices.DeleteFunc(left, func(l string) bool { return l == body })
		}
		c.ackAll(ds...)
	}
	return came, errs
}

// wantReported fails the case unless all errors have a code, and there are as many
// as wanted.
func wantReported(p *pipe, errs []error, code fairlead.Code, least, most int) {
	for _, err := range errs {
		p.WantCode("receiving", err, code)
	}
	if n := len(errs); n < least || n > most {
		p.Errorf("Receive reported %v %d times, want %d to %d times: %v", code, n, least, most, errs)
	}
}
