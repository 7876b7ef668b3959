package pubsubcases

import (
	"fmt"
	"time"

	"fairlead.dev"
	"fairlead.dev/conformance/internal/suite"
	"fairlead.dev/pubsub"
)

var (
	broadcasts = []fairlead.Claim{pubsub.Broadcast}
	fromStart  = []fairlead.Claim{pubsub.ReplayStart}
	fromTime   = []fairlead.Claim{pubsub.ReplayTime}
	fromPlace  = []fairlead.Claim{pubsub.ReplayPosition}
)

var startCases = []suite.Case{
	{Name: "pubsub/broadcast", Needs: broadcasts, Rule: "every broadcast subscription gets every message that is published after it began, independent of groups and of other broadcasts", Run: withPipe(func(p *pipe) {
		p.publishTexts("old")
		subs := []*consumer{p.subscribe(pubsub.WithoutGroup()), p.subscribe(pubsub.WithoutGroup()), p.subscribe(pubsub.WithoutGroup())}
		want := numberedTexts("m", 20)
		p.publishTexts(want...)
		for i, sub := range subs {
			sub.wantTexts(fmt.Sprintf("broadcast %d", i), want...)
			sub.wantSilence("each message came once, and nothing from before")
		}
		p.sub.wantTexts("a group beside broadcasts", append(want, "old")...)
	})},
	{Name: "pubsub/broadcast-exists", Needs: broadcasts, Rule: "when Subscribe returns, the broadcast has begun: a message that is published right then arrives", Run: withPipe(func(p *pipe) {
		for i := range 15 {
			sub, body := p.subscribe(pubsub.WithoutGroup()), fmt.Sprintf("m%d", i)
			p.publishTexts(body)
			sub.wantTexts("published right after Subscribe returned", body)
			sub.close()
		}
	})},
	{Name: "pubsub/broadcast-nack", Needs: broadcasts, Rule: "a message that one broadcast subscription gives back comes again only to it", Run: withPipe(func(p *pipe) {
		one, two := p.subscribe(pubsub.WithoutGroup()), p.subscribe(pubsub.WithoutGroup())
		p.publishTexts("a", "b")
		two.receiveAndAck(2)
		d := one.receive(2)[0]
		one.giveBack(d, 0)
		one.wantTexts("what was given back", string(d.Body))
		two.wantSilence("another subscription gave it back")
	})},
	{Name: "pubsub/broadcast-wakes", Needs: broadcasts, Rule: "a Receive that waits on a broadcast subscription gets a message that is published, and one that another call gives back", Run: withPipe(func(p *pipe) {
		sub := p.subscribe(pubsub.WithoutGroup())
		next := sub.receiveInBackground(p.Context())
		p.publishTexts("m")
		for _, what := range []string{"what is published", "what was given back"} {
			r := receiveFrom(p.T, "a Receive that waits gets "+what, next)
			p.Must(r.err)
			next = sub.receiveInBackground(p.Context())
			sub.giveBack(r.d, 0)
		}
		r := receiveFrom(p.T, "a Receive that waits gets what was given back again", next)
		p.Must(r.err)
		sub.ackAll(r.d)
	})},
	{Name: "pubsub/broadcast-lease", Needs: broadcasts, Rule: "a message that a broadcast subscription does not settle comes to it again when the lease has ended", Run: func(t *suite.T) {
		p := newPipe(t)
		sub := p.subscribe(pubsub.WithoutGroup(), withShortLease(t))
		p.publishTexts("m")
		sub.receive(1)
		sub.wantTexts("a message whose lease ended", "m")
	}},
	{Name: "pubsub/broadcast-ends", Needs: broadcasts, Rule: "a broadcast ends when it is closed: the next one gets nothing that it left, and other broadcasts still receive", Run: withPipe(func(p *pipe) {
		one, two := p.subscribe(pubsub.WithoutGroup()), p.subscribe(pubsub.WithoutGroup())
		p.publishTexts("a", "b")
		one.receive(1)
		one.close()
		three := p.subscribe(pubsub.WithoutGroup())
		p.publishTexts("c")
		three.wantTexts("a broadcast that began after another one ended", "c")
		three.wantSilence("a broadcast begins with what is new")
		two.wantTexts("a broadcast beside one that ended", "a", "b", "c")
	})},
	{Name: "pubsub/broadcast-many", Needs: broadcasts, Rule: "a broadcast subscription gets five hundred messages, each once", Run: withPipe(func(p *pipe) {
		sub, want := p.subscribe(pubsub.WithoutGroup()), numberedTexts("m", 500)
		p.publishTexts(want...)
		sub.wantTexts("five hundred messages", want...)
		sub.wantSilence("each message came once")
	})},
	{Name: "pubsub/broadcast-replay", Needs: []fairlead.Claim{pubsub.Broadcast, pubsub.ReplayStart}, Rule: "a broadcast from the start gets all messages that are kept, and then new ones", Run: withPipe(func(p *pipe) {
		p.publishTexts("a", "b")
		sub := p.subscribe(pubsub.WithoutGroup(), pubsub.FromStart())
		p.publishTexts("c")
		sub.wantTexts("a broadcast from the start", "a", "b", "c")
	})},
	{Name: "pubsub/replay-start", Needs: fromStart, Rule: "a new group from the start gets every message that is kept, also those that other groups acknowledged, and then new ones", Run: withPipe(func(p *pipe) {
		keeper, want := p.joinGroup(p.T.Name()), numberedTexts("m", 30)
		p.publishTexts(want[:20]...)
		p.sub.receiveAndAck(20) // they are still kept: the keeper has not received them
		late := p.joinGroup(p.T.Name(), pubsub.FromStart())
		p.publishTexts(want[20:]...)
		late.wantTexts("a group from the start", want...)
		late.wantSilence("each message came once")
		keeper.wantTexts("the group that was there", want...)
	})},
	{Name: "pubsub/replay-existing", Needs: fromStart, Rule: "a group that exists continues where it was, although a consumer asks for the start", Run: withPipe(func(p *pipe) {
		keeper := p.joinGroup(p.T.Name())
		p.publishTexts("a", "b", "c")
		p.sub.receiveAndAck(2)
		p.sub.close()
		p.sub = p.join(pubsub.FromStart())
		p.sub.receiveAndAck(1)
		p.sub.wantSilence("the group exists already")
		keeper.receiveAndAck(3)
	})},
	{Name: "pubsub/replay-time", Needs: fromTime, Rule: "a new group from a time gets exactly the messages stored at or after it, and then new ones", Run: withPipe(replayTime)},
	{Name: "pubsub/replay-time-past", Needs: fromTime, Rule: "a new group from a time before all messages gets all that are kept; from a time after them, only what is new", Run: withPipe(func(p *pipe) {
		keeper := p.joinGroup(p.T.Name())
		p.publishTexts("a", "b")
		newest := p.sub.receiveAndAck(2)[1].Time
		past := p.joinGroup(p.T.Name(), pubsub.FromTime(newest.Add(-time.Hour)))
		past.wantTexts("from an hour before", "a", "b")
		time.Sleep(60 * time.Millisecond)
		late := p.joinGroup(p.T.Name(), pubsub.FromTime(newest.Add(30*time.Millisecond)))
		p.publishTexts("c")
		late.wantTexts("from after the newest message", "c")
		late.wantSilence("one message was stored after that time")
		keeper.receiveAndAck(2)
	})},
	{Name: "pubsub/replay-position", Needs: fromPlace, Rule: "a new group after a position gets the messages that were stored after that message, and neither that message nor older ones; receipts have positions too", Run: withPipe(replayPosition)},
	{Name: "pubsub/replay-bad-position", Needs: fromPlace, Rule: "a position that no delivery ever had is Invalid, and creates no group", Run: withPipe(func(p *pipe) {
		p.publishTexts("m")
		group := p.T.Name()
		for _, bad := range []string{"no position", "", "-1", "\x00", "18446744073709551616", "1.5e3x"} {
			_, err := pubsub.Subscribe(p.Context(), p.Provider(), p.topic, pubsub.Group(group), pubsub.FromPosition(bad))
			p.WantCode(fmt.Sprintf("from the position %q", bad), err, fairlead.Invalid)
		}
		sub := p.joinGroup(group)
		p.publishTexts("new")
		sub.wantTexts("a group that was refused first", "new")
		sub.wantSilence("the refused calls made no group")
	})},
}

func replayTime(p *pipe) {
	keeper := p.joinGroup(p.T.Name())
	p.publishTexts("a")
	first := p.sub.receiveAndAck(1)[0].Time
	if first.IsZero() {
		p.Fatalf("ReplayTime is claimed and deliveries have no time")
	}
	time.Sleep(20 * time.Millisecond)
	p.publishTexts("b")
	second := p.sub.receiveAndAck(1)[0].Time
	if !second.After(first) {
		p.Fatalf("a message that was published 20 ms later has the time %v, the one before %v", second, first)
	}
	var groups []*consumer
	for _, c := range []struct {
		from time.Time
		want []string
	}{
		{first, []string{"a", "b"}}, {second, []string{"b"}}, {first.Add(second.Sub(first) / 2), []string{"b"}}, {first.Add(-time.Millisecond), []string{"a", "b"}},
	} {
		group := p.joinGroup(p.T.Name(), pubsub.FromTime(c.from))
		group.wantTexts(fmt.Sprintf("from %v; a was stored at %v, b at %v", c.from, first, second), c.want...)
		group.wantSilence("nothing else was stored at or after the time")
		groups = append(groups, group)
	}
	p.publishTexts("c")
	for _, group := range groups {
		group.wantTexts("what is new, in a group from a time", "c")
	}
	keeper.receiveAndAck(3)
}

func replayPosition(p *pipe) {
	keeper := p.joinGroup(p.T.Name())
	want := numberedTexts("m", 10)
	receipts := p.publishTexts(want...)
	place := map[string]string{}
	for _, d := range p.sub.receiveAndAck(10) {
		place[string(d.Body)] = d.Position
	}
	for i, body := range want {
		if receipts[i].Position == "" || receipts[i].Position != place[body] {
			p.Fatalf("ReplayPosition is claimed; the receipt of %s has the position %q, its delivery %q", body, receipts[i].Position, place[body])
		}
	}
	var groups []*consumer
	for _, i := range []int{0, 4, 8, 9} {
		group := p.joinGroup(p.T.Name(), pubsub.FromPosition(place[want[i]]))
		got := bodies(group.receiveAndAck(9 - i))
		wantSame(p.T, fmt.Sprintf("after the position of message %d of ten", i), got, want[i+1:])
		group.wantSilence("nothing else is after the position")
		groups = append(groups, group)
	}
	p.publishTexts("new")
	for _, group := range groups {
		group.wantTexts("what is new, in a group from a position", "new")
	}
	keeper.receiveAndAck(11)
}
