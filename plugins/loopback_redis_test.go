package plugins_test

import (
	"testing"

	"fairlead.dev/conformance"
	"fairlead.dev/internal/testbed"
	"fairlead.dev/plugins"
	_ "fairlead.dev/providers/redis"
)

func TestLoopbackOfRedisConforms(t *testing.T) {
	for _, over := range []plugins.Transport{plugins.Stream, plugins.Frames} {
		t.Run(string(over), func(t *testing.T) {
			server := testbed.Redis(t)
			conformance.Test(t, loopback(server.URL(), over), conformance.WithTransport("loopback "+string(over)), conformance.WithControl(server))
		})
	}
}
