package remote

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"fairlead.dev"
	kvdriver "fairlead.dev/kv/driver"
	"fairlead.dev/plugins/internal/pluginpb/fairlead/plugin/v1"
	"fairlead.dev/plugins/internal/wire"
	psdriver "fairlead.dev/pubsub/driver"
)

// TestDescribe shows the only change that the host makes to a description: if the
// driver takes batches, there are at least two pipelines, so that callers gather.
func TestDescribe(t *testing.T) {
	for _, c := range []struct{ batch, pipelines, want int }{
		{0, 0, 0}, {1, 0, 0}, {1, 1, 1}, {2, 0, 2}, {256, 0, 2}, {256, 1, 2}, {256, 2, 2}, {8, 5, 5},
	} {
		limits := &pluginpb.Limits{MaxBatch: int64(c.batch), Pipelines: int64(c.pipelines), MaxKeyBytes: 512}
		d := hostDescription(&pluginpb.Description{Provider: "p", Generation: 7, Facets: []*pluginpb.FacetDescription{
			{Facet: "config"}, {Facet: "kv", Limits: limits, Claims: []string{"kv.CAS"}},
		}})
		got, _ := d.Facet(fairlead.KV)
		if want := (fairlead.Limits{MaxBatch: c.batch, Pipelines: c.want, MaxKeyBytes: 512}); got.Limits != want {
			t.Errorf("%+v became %+v, want %+v", c, got.Limits, want)
		}
		if other, _ := d.Facet(fairlead.Config); other.Limits != (fairlead.Limits{}) || len(got.Claims) != 1 || d.Provider != "p" {
			t.Errorf("the description became %+v", d)
		}
	}
}

func newDescription(generation uint64, version string) *pluginpb.Description {
	return &pluginpb.Description{Generation: generation, Version: version}
}

// TestDescribeThatDoesNotWait shows that a plugin which answers at once, and has
// nothing new to say, is not asked all the time.
func TestDescribeThatDoesNotWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const seconds = 10
		asked := 0
		p := &fakePlugin{description: newDescription(1, "1")}
		p.describe = func(uint64) *pluginpb.Description {
			if asked++; asked > 10*seconds {
				return nil // the test fails: wait for its end
			}
			return newDescription(1, "1")
		}
		p.openProvider(t)
		time.Sleep(seconds * time.Second)
		synctest.Wait()
		if asked < 2 || asked > 3*seconds {
			t.Errorf("the plugin was asked %d times in %d seconds", asked, seconds)
		}
	})
}

// TestDescriptionsFollow shows that a changed description is published at once,
// and that the host then asks the plugin for one that differs from it.
func TestDescriptionsFollow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &fakePlugin{description: newDescription(5, "5")}
		p.describe = func(generation uint64) *pluginpb.Description {
			if generation == 8 {
				return nil
			}
			time.Sleep(time.Minute)
			return newDescription(generation+1, string('1'+rune(generation)))
		}
		r := p.openProvider(t)
		began := time.Now()
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		d, err := r.Describe(ctx)
		for minute := 1; minute <= 3 && err == nil; minute++ {
			if d, err = r.Await(ctx, d.Generation); err == nil && time.Since(began) != time.Duration(minute)*time.Minute {
				t.Errorf("the version %s came after %v", d.Version, time.Since(began))
			}
		}
		if err != nil || d.Version != "8" {
			t.Errorf("the version is %q, %v", d.Version, err)
		}
	})
}

// TestAnswersWithoutContent shows that a reply without the required content is
// detected, and that its callers get an error.
func TestAnswersWithoutContent(t *testing.T) {
	results := &pluginpb.Reply{Body: &pluginpb.Reply_KvResults{KvResults: &pluginpb.KVResults{Results: make([]*pluginpb.KVResult, 1)}}}
	for name, r := range map[string]*pluginpb.Reply{
		"no body":       {},
		"no events":     {Body: &pluginpb.Reply_KvEvents{KvEvents: &pluginpb.KVEvents{}}},
		"no deliveries": {Body: &pluginpb.Reply_PubsubDeliveries{PubsubDeliveries: &pluginpb.PubSubDeliveries{}}},
		"too few":       results,
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := &fakePlugin{answer: func(_ context.Context, c *pluginpb.Call) *pluginpb.Reply {
					if o := replyToOpening(c); o != nil {
						return o
					}
					return &pluginpb.Reply{Body: r.Body}
				}}
				for what, err := range answered(t, p.openProvider(t)) {
					if fairlead.CodeOf(err) != fairlead.Internal {
						t.Errorf("%s: %v", what, err)
					}
				}
			})
		})
	}
}

// answered makes calls whose replies need content, and returns their errors.
func answered(t *testing.T, p Provider) map[string]error {
	t.Helper()
	ctx := t.Context()
	s, err := p.OpenStore(ctx, kvdriver.StoreConfig{Name: "s"})
	if err != nil {
		t.Fatal(err)
	}
	w, err := s.Watch(ctx, kvdriver.WatchRequest{After: "0"})
	if err != nil {
		t.Fatal(err)
	}
	topic, err := p.OpenTopic(ctx, psdriver.TopicConfig{Name: "t"})
	if err != nil {
		t.Fatal(err)
	}
	sub, err := p.OpenSubscription(ctx, psdriver.SubscriptionConfig{Topic: "t", Group: "g"})
	if err != nil {
		t.Fatal(err)
	}
	errs := map[string]error{}
	results, sent := s.Do(ctx, make([]kvdriver.Op, 2)), topic.Send(ctx, make([]psdriver.Message, 2))
	if len(results) != 2 || len(sent) != 2 {
		t.Fatalf("2 operations got %d results, 2 messages %d", len(results), len(sent))
	}
	errs["an operation"], errs["another operation"] = results[0].Err, results[1].Err
	errs["a message"], errs["another message"] = sent[0].Err, sent[1].Err
	_, errs["a watch"] = w.Next(ctx)
	_, errs["a subscription"] = sub.Receive(ctx, 10)
	return errs
}

// TestLost shows the error of a call whose reply did not arrive.
func TestLost(t *testing.T) {
	broken := errors.New("broken")
	ended, cancel := context.WithCancel(context.Background())
	cancel()
	late, done := context.WithDeadline(context.Background(), time.Unix(1, 0))
	defer done()
	for name, c := range map[string]struct {
		ctx   context.Context
		err   error
		write bool
		want  fairlead.Code
	}{
		"a write that was sent":                    {context.Background(), &wire.Lost{Sent: true, Cause: broken}, true, fairlead.UnknownOutcome},
		"a write that was sent and given up":       {ended, &wire.Lost{Sent: true, Cause: context.Canceled}, true, fairlead.UnknownOutcome},
		"the same, as the link broke":              {ended, &wire.Lost{Sent: true, Cause: broken}, true, fairlead.UnknownOutcome},
		"a write that was not sent":                {context.Background(), &wire.Lost{Cause: broken}, true, fairlead.Unavailable},
		"a write that was given up before":         {ended, &wire.Lost{Cause: context.Canceled}, true, fairlead.Canceled},
		"a read":                                   {context.Background(), &wire.Lost{Sent: true, Cause: broken}, false, fairlead.Unavailable},
		"a read that was given up":                 {ended, &wire.Lost{Sent: true, Cause: context.Canceled}, false, fairlead.Canceled},
		"a read that was given up, the link broke": {ended, &wire.Lost{Sent: true, Cause: broken}, false, fairlead.Canceled},
		"a read whose time is over":                {late, &wire.Lost{Sent: true, Cause: context.DeadlineExceeded}, false, fairlead.DeadlineExceeded},
		"a call that is too large":                 {context.Background(), fairlead.Errorf(fairlead.TooLarge, "why"), true, fairlead.TooLarge},
	} {
		if got := fairlead.CodeOf(lostError(c.ctx, c.err, c.write)); got != c.want {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
}
