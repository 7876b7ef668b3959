package dapr_test

import (
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"

	"fairlead.dev"
	"fairlead.dev/conformance"
	"fairlead.dev/internal/dev/checkreport"
	"fairlead.dev/internal/dev/testbed"
)

// daprGroups is how many groups a topic may have: as many as the suite makes.
const daprGroups = 20

// processing is shorter than the patience of the suite. Sometimes the component's
// reader gives up just when it gets messages, and these messages come only after
// the processing timeout.
const processing = 5 * time.Second

// pubsubSidecar starts a sidecar with a pubsub component for each group, and
// returns it with the URL that names them.
func pubsubSidecar(t *testing.T, redis string) (*testbed.DaprSidecar, string) {
	t.Helper()
	opts := []testbed.DaprOption{testbed.DaprComponent(testbed.DaprState, "state.redis", map[string]string{"redisHost": redis})}
	var names []string
	for i := range daprGroups {
		name := fmt.Sprintf("pubsub%02d", i)
		names = append(names, name)
		opts = append(opts, testbed.DaprComponent(name, "pubsub.redis", map[string]string{
			"redisHost": redis, "consumerID": name, "concurrency": "300", "queueDepth": "300", "poolSize": "60",
			"processingTimeout": fmt.Sprint(processing.Milliseconds()), "redeliverInterval": "500", "readTimeout": "3s",
		}))
	}
	s := testbed.Dapr(t, opts...)
	return s, fmt.Sprintf("%s?pubsub=%s&group-pubsubs=%s&processing-timeout=%v&clock-skew=20ms", s.URL(), names[0], strings.Join(names[1:], ","), processing)
}

// TestPubSubConformance runs the suite while the broker is killed and started.
func TestPubSubConformance(t *testing.T) {
	t.Parallel() // the cases mostly wait
	redis := testbed.Redis(t)
	_, url := pubsubSidecar(t, redis.Addr())
	report := conformance.Test(t, checkreport.Opener(url), conformance.WithFacets(fairlead.PubSub), conformance.WithControl(redis), conformance.WithTransport("pubsub"))
	checkreport.Tried(t, report)
}

// TestPubSubSidecarRestart runs the restart cases, which kill and start the
// sidecar. The provider has to bridge that by itself.
func TestPubSubSidecarRestart(t *testing.T) {
	t.Parallel() // the cases mostly wait
	sidecar, url := pubsubSidecar(t, testbed.Redis(t).Addr())
	conformance.Test(t, checkreport.Opener(url), conformance.WithFacets(fairlead.PubSub), conformance.WithControl(sidecar),
		conformance.WithMatch(regexp.MustCompile("pubsub/restart-")), conformance.WithTransport("sidecar restart"))
}
