package dapr_test

import (
	"regexp"
	"testing"

	"fairlead.dev"
	"fairlead.dev/conformance"
	"fairlead.dev/internal/dev/checkreport"
	"fairlead.dev/internal/dev/testbed"
)

// TestConformanceRedis runs the suite on components on a Redis, with a sidecar
// that is killed and started meanwhile, and requires that every claim is tried.
// The pubsub facet has tests of its own, with other settings. The config facet is
// left out: the suite cannot write settings, and so cannot prove that they are
// shared. TestSnapshot does.
func TestConformanceRedis(t *testing.T) {
	t.Parallel() // the cases mostly wait
	s := testbed.Dapr(t, testbed.DaprRedis(testbed.Redis(t).Addr()))
	checkreport.Tried(t, conformance.Test(t, checkreport.Opener(s.URL()+"?pubsub=-"), conformance.WithControl(s), conformance.WithTransport("redis")), fairlead.Config)
}

// TestKilledRedis runs the cases that kill the backend: they kill the Redis behind
// the sidecar. Its writes are on stable storage, as the URL asserts.
func TestKilledRedis(t *testing.T) {
	t.Parallel()
	redis := testbed.Redis(t)
	s := testbed.Dapr(t, testbed.DaprRedis(redis.Addr()))
	report := conformance.Test(t, checkreport.Opener(s.URL()+"?pubsub=-&assert-durable=true"), conformance.WithControl(redis),
		conformance.WithTransport("redis killed"), conformance.WithMatch(regexp.MustCompile("^kv/(kill|durable)")))
	checkreport.Verdict(t, report, fairlead.DurableFsync, conformance.AssertedByOperator, fairlead.KV)
}

// TestConformanceInMemory runs the suite on components that lose everything when
// the sidecar ends.
func TestConformanceInMemory(t *testing.T) {
	t.Parallel()
	s := testbed.Dapr(t, testbed.DaprInMemory())
	checkreport.Tried(t, conformance.Test(t, checkreport.Opener(s.URL()+"?pubsub=-"), conformance.WithControl(s), conformance.WithTransport("in-memory")), fairlead.Config)
}
