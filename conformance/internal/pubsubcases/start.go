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
	{Name: "pubsub/broadcast", Needs: broadcasts, Rule: "every broadcast subscription gets every message that is published after it began, beside groups and each other", Run: piped(func(p *pipe) {
		p.texts("old")
		subs := []*consumer{p.with(pubsub.WithoutGroup()), p.with(pubsub.WithoutGroup()), p.with(pubsub.WithoutGroup())}
		want := series("m", 20)
		p.texts(want...)
		for i, sub := range subs {
			sub.takeTexts(fmt.Sprintf("broadcast %d", i), want...)
			sub.quiet("each message came once, and nothing from before")
		}
		p.sub.takeTexts("a group beside broadcasts", append(want, "old")...)
	})},
	{Name: "pubsub/broadcast-exists", Needs: broadcasts, Rule: "when Subscribe returns the broadcast has begun: what is published at once arrives", Run: piped(func(p *pipe) {
		for i := range 15 {
			sub, body := p.with(pubsub.WithoutGroup()), fmt.Sprintf("m%d", i)
			p.texts(body)
			sub.takeTexts("published right after Subscribe returned", body)
			sub.close()
		}
	})},
	{Name: "pubsub/broadcast-nack", Needs: broadcasts, Rule: "a message that one broadcast subscription gives back comes again to it, and to no other", Run: piped(func(p *pipe) {
		one, two := p.with(pubsub.WithoutGroup()), p.with(pubsub.WithoutGroup())
		p.texts("a", "b")
		two.take(2)
		d := one.get(2)[0]
		one.nack(d, 0)
		one.takeTexts("what was given back", string(d.Body))
		two.quiet("another subscription gave it back")
	})},
	{Name: "pubsub/broadcast-wakes", Needs: broadcasts, Rule: "a Receive of a broadcast subscription that waits gets what is published, and what another call gives back", Run: piped(func(p *pipe) {
		sub := p.with(pubsub.WithoutGroup())
		next := sub.later(p.Context())
		p.texts("m")
		for _, what := range []string{"what is published", "what was given back"} {
			r := await(p.T, "a Receive that waits gets "+what, next)
			p.Must(r.err)
			next = sub.later(p.Context())
			sub.nack(r.d, 0)
		}
		r := await(p.T, "a Receive that waits gets what was given back again", next)
		p.Must(r.err)
		sub.ack(r.d)
	})},
	{Name: "pubsub/broadcast-lease", Needs: broadcasts, Rule: "a message that a broadcast subscription does not settle comes again to it when the lease has ended", Run: func(t *suite.T) {
		p := newPipe(t)
		sub := p.with(pubsub.WithoutGroup(), short(t))
		p.texts("m")
		sub.get(1)
		sub.takeTexts("a message whose lease ended", "m")
	}},
	{Name: "pubsub/broadcast-ends", Needs: broadcasts, Rule: "a broadcast ends when it is closed: the next one gets nothing that it left, and other broadcasts still receive", Run: piped(func(p *pipe) {
		one, two := p.with(pubsub.WithoutGroup()), p.with(pubsub.WithoutGroup())
		p.texts("a", "b")
		one.get(1)
		one.close()
		three := p.with(pubsub.WithoutGroup())
		p.texts("c")
		three.takeTexts("a broadcast that began after another one ended", "c")
		three.quiet("a broadcast begins with what is new")
		two.takeTexts("a broadcast beside one that ended", "a", "b", "c")
	})},
	{Name: "pubsub/broadcast-many", Needs: broadcasts, Rule: "a broadcast subscription gets five hundred messages, each once", Run: piped(func(p *pipe) {
		sub, want := p.with(pubsub.WithoutGroup()), series("m", 500)
		p.texts(want...)
		sub.takeTexts("five hundred messages", want...)
		sub.quiet("each message came once")
	})},
	{Name: "pubsub/broadcast-replay", Needs: []fairlead.Claim{pubsub.Broadcast, pubsub.ReplayStart}, Rule: "a broadcast from the start gets all that is kept, and then what is new", Run: piped(func(p *pipe) {
		p.texts("a", "b")
		sub := p.with(pubsub.WithoutGroup(), pubsub.FromStart())
		p.texts("c")
		sub.takeTexts("a broadcast from the start", "a", "b", "c")
	})},
	{Name: "pubsub/replay-start", Needs: fromStart, Rule: "a new group from the start gets every message that is kept, also those that other groups acknowledged, and then what is new", Run: piped(func(p *pipe) {
		keeper, want := p.other(p.T.Name()), series("m", 30)
		p.texts(want[:20]...)
		p.sub.take(20) // the keeper did not get them: they are kept
		late := p.other(p.T.Name(), pubsub.FromStart())
		p.texts(want[20:]...)
		late.takeTexts("a group from the start", want...)
		late.quiet("each message came once")
		keeper.takeTexts("the group that was there", want...)
	})},
	{Name: "pubsub/replay-existing", Needs: fromStart, Rule: "a group that exists continues where it was, although a consumer asks for the start", Run: piped(func(p *pipe) {
		keeper := p.other(p.T.Name())
		p.texts("a", "b", "c")
		p.sub.take(2)
		p.sub.close()
		p.sub = p.join(pubsub.FromStart())
		p.sub.take(1)
		p.sub.quiet("the group exists already")
		keeper.take(3)
	})},
	{Name: "pubsub/replay-time", Needs: fromTime, Rule: "a new group from a time gets exactly the messages stored at or after it, and then what is new", Run: piped(replayTime)},
	{Name: "pubsub/replay-time-past", Needs: fromTime, Rule: "a new group from a time before all messages gets all that are kept; from a time after them, only what is new", Run: piped(func(p *pipe) {
		keeper := p.other(p.T.Name())
		p.texts("a", "b")
		newest := p.sub.take(2)[1].Time
		past := p.other(p.T.Name(), pubsub.FromTime(newest.Add(-time.Hour)))
		past.takeTexts("from an hour before", "a", "b")
		time.Sleep(60 * time.Millisecond)
		late := p.other(p.T.Name(), pubsub.FromTime(newest.Add(30*time.Millisecond)))
		p.texts("c")
		late.takeTexts("from after the newest message", "c")
		late.quiet("one message was stored after that time")
		keeper.take(2)
	})},
	{Name: "pubsub/replay-position", Needs: fromPlace, Rule: "a new group after a position gets what was stored after that message, and neither that message nor older ones; receipts have positions too", Run: piped(replayPosition)},
	{Name: "pubsub/replay-bad-position", Needs: fromPlace, Rule: "a position that no delivery ever had is Invalid, and makes no group", Run: piped(func(p *pipe) {
		p.texts("m")
		group := p.T.Name()
		for _, bad := range []string{"no position", "", "-1", "\x00", "18446744073709551616", "1.5e3x"} {
			_, err := pubsub.Subscribe(p.Context(), p.Provider(), p.topic, pubsub.Group(group), pubsub.FromPosition(bad))
			p.WantCode(fmt.Sprintf("from the position %q", bad), err, fairlead.Invalid)
		}
		sub := p.other(group)
		p.texts("new")
		sub.takeTexts("a group that was refused first", "new")
		sub.quiet("the refused calls made no group")
	})},
}

func replayTime(p *pipe) {
	keeper := p.other(p.T.Name())
	p.texts("a")
	first := p.sub.take(1)[0].Time
	if first.IsZero() {
		p.Fatalf("ReplayTime is claimed and deliveries have no time")
	}
	time.Sleep(20 * time.Millisecond)
	p.texts("b")
	second := p.sub.take(1)[0].Time
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
		group := p.other(p.T.Name(), pubsub.FromTime(c.from))
		group.takeTexts(fmt.Sprintf("from %v; a was stored at %v, b at %v", c.from, first, second), c.want...)
		group.quiet("nothing else was stored at or after the time")
		groups = append(groups, group)
	}
	p.texts("c")
	for _, group := range groups {
		group.takeTexts("what is new, in a group from a time", "c")
	}
	keeper.take(3)
}

func replayPosition(p *pipe) {
	keeper := p.other(p.T.Name())
	want := series("m", 10)
	receipts := p.texts(want...)
	place := map[string]string{}
	for _, d := range p.sub.take(10) {
		place[string(d.Body)] = d.Position
	}
	for i, body := range want {
		if receipts[i].Position == "" || receipts[i].Position != place[body] {
			p.Fatalf("ReplayPosition is claimed; the receipt of %s has the position %q, its delivery %q", body, receipts[i].Position, place[body])
		}
	}
	var groups []*consumer
	for _, i := range []int{0, 4, 8, 9} {
		group := p.other(p.T.Name(), pubsub.FromPosition(place[want[i]]))
		got := bodies(group.take(9 - i))
		wantSame(p.T, fmt.Sprintf("after the position of message %d of ten", i), got, want[i+1:])
		group.quiet("nothing else is after the position")
		groups = append(groups, group)
	}
	p.texts("new")
	for _, group := range groups {
		group.takeTexts("what is new, in a group from a position", "new")
	}
	keeper.take(11)
}
