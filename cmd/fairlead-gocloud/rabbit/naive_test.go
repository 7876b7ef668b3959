package rabbit

import (
	"context"
	"regexp"
	"slices"
	"testing"
	"time"

	"gocloud.dev/pubsub"

	"fairlead.dev"
	"fairlead.dev/conformance"
	"fairlead.dev/internal/dev/check"
	"fairlead.dev/internal/dev/testbed"
	"fairlead.dev/providers/gocloud"
)

// naive holds drivers that each trust rabbitpubsub in one respect, with a case that
// must detect that.
var naive = []struct {
	scheme, url, refutedBy string
	control                bool
	believe                func(*gocloud.Topic)
}{
	{"rabbit-transient", "?durable=fsync", "pubsub/durable-publish-fsync", true,
		func(t *gocloud.Topic) { t.Prepare = func(*pubsub.Message) {} }},
	{"rabbit-unroutable", "", "pubsub/missing-topic", false,
		func(t *gocloud.Topic) { t.Outcome = nil }},
}

func init() {
	for _, n := range naive {
		gocloud.Register(driver(n.scheme, func(ctx context.Context, b *broker) (*gocloud.PubSub, error) {
			ps, err := connect(ctx, b)
			if err != nil {
				return nil, err
			}
			open := ps.OpenTopic
			ps.OpenTopic = func(ctx context.Context, name string) (*gocloud.Topic, error) {
				t, err := open(ctx, name)
				if err == nil {
					n.believe(t)
				}
				return t, err
			}
			return ps, nil
		}))
	}
}

// TestNaiveDriversAreRefuted runs the case for each naive driver.
func TestNaiveDriversAreRefuted(t *testing.T) {
	t.Parallel()
	s := testbed.Rabbit(t)
	for _, n := range naive {
		t.Run(n.scheme, func(t *testing.T) {
			report, err := conformance.Run(t.Context(), func(ctx context.Context) (fairlead.Provider, error) {
				return fairlead.Open(ctx, "gocloud+"+n.scheme+"://"+s.Addr()+n.url)
			}, conformance.WithMatch(regexp.MustCompile("^"+n.refutedBy+"$")), conformance.WithControl(s),
				conformance.WithPatience(3*time.Second))
			check.NoError(t, err)
			failed := slices.ContainsFunc(report.Results, func(r conformance.Result) bool {
				t.Log(r.Case, r.Outcome, r.Failures)
				return r.Case == n.refutedBy && r.Bad()
			})
			if !failed {
				t.Errorf("%s passed", n.refutedBy)
			}
		})
	}
}
