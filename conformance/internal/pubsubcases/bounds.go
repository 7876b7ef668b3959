package pubsubcases

import (
	"fmt"
	"math"
	"time"

	"fairlead.dev"
	"fairlead.dev/conformance/internal/suite"
	"fairlead.dev/pubsub"
)

// boundCases are about the greatest numbers and times that a caller can give.
var boundCases = []suite.Case{
	{Name: "pubsub/max-deadline", Rule: "the longest AckDeadline of the limits is accepted, and its lease does not end early; a longer one is Invalid, and makes no group", Run: maxDeadline},
	{Name: "pubsub/nack-delay-longest", Needs: delaying, Rule: "a message that is given back for the longest delay does not come early, and holds back no other; a longer delay is Invalid", Run: withPipe(func(p *pipe) {
		limit := p.Facet().Limits.MaxDelay
		p.publishTexts("a", "b")
		ds := p.sub.receive(2)
		for _, delay := range []time.Duration{-1, math.MinInt64, limit + 1, math.MaxInt64} {
			p.WantCode(fmt.Sprintf("a delay of %v", delay), ds[0].Nack(p.Context(), delay), fairlead.Invalid)
		}
		began := time.Now()
		p.sub.giveBack(ds[0], limit)
		p.sub.giveBack(ds[1], 0)
		d := p.sub.receiveAndAck(1)[0]
		if string(d.Body) != string(ds[1].Body) && time.Since(began) < limit*9/10 {
			p.Errorf("%s came after %v, and was given back for %v", d.Body, time.Since(began), limit)
		}
		if limit > time.Minute {
			time.Sleep(time.Second) // a delay that has wrapped ends soon
			p.sub.wantSilence("the other message was given back for the longest time")
		}
	})},
	{Name: "pubsub/replay-time-extremes", Needs: fromTime, Rule: "from a time long ago, a group gets all messages that are kept; from one in a hundred years, no message from before; the zero time and a later one are Invalid", Run: withPipe(func(p *pipe) {
		keeper := p.joinGroup(p.Name())
		p.publishTexts("a", "b")
		for _, from := range []time.Time{time.Unix(1, 0), time.Unix(0, 0), time.Unix(-1, 0), time.Date(1, 1, 1, 0, 0, 0, 1, time.UTC), time.Unix(math.MinInt32, 0)} {
			p.joinGroup(p.Name(), pubsub.FromTime(from)).wantTexts(fmt.Sprintf("from %v", from), "a", "b")
		}
		far := p.joinGroup(p.Name(), pubsub.FromTime(time.Now().Add(fairlead.MaxDuration-time.Hour)))
		p.publishTexts("c")
		if d, err := far.Receive(p.Within(silence)); err == nil && string(d.Body) != "c" {
			p.Errorf("%s came to a group from a time in a hundred years", d.Body)
		}
		for _, from := range []time.Time{{}, time.Now().Add(math.MaxInt64), time.Unix(math.MaxInt32*1000, 0)} {
			_, err := pubsub.Subscribe(p.Context(), p.Provider(), p.topic, pubsub.Group(p.Name()), pubsub.FromTime(from))
			p.WantCode(fmt.Sprintf("from %v", from), err, fairlead.Invalid)
		}
		keeper.receiveAndAck(3)
	})},
}

func maxDeadline(t *suite.T) {
	longest := t.Facet().Limits.MaxAckDeadline
	if longest == 0 {
		longest = fairlead.MaxDuration
	}
	p := newPipe(t, pubsub.AckDeadline(longest))
	for _, deadline := range []time.Duration{longest + 1, math.MaxInt64} {
		_, err := pubsub.Subscribe(t.Context(), t.Provider(), p.topic, pubsub.Group(t.Name()), pubsub.AckDeadline(deadline))
		t.WantCode(fmt.Sprintf("an AckDeadline of %v", deadline), err, fairlead.Invalid)
	}
	other := p.join(pubsub.AckDeadline(longest))
	p.publishTexts("m")
	d := p.sub.receive(1)[0]
	if longest > time.Minute {
		time.Sleep(time.Second) // a deadline that has wrapped ends soon
		other.wantSilence("the lease of the message is the longest that there is")
	}
	if t.Facet().Has(pubsub.Extend) {
		if err := d.Extend(t.Context()); err != nil {
			t.Errorf("extending the longest lease: %v", err)
		}
	}
	p.sub.close()
	other.wantTexts("what a consumer with the longest AckDeadline held", "m")
}
