package redis

import (
	"testing"
	"time"

	"fairlead.dev"
	"fairlead.dev/internal/dev/check"
	"fairlead.dev/internal/dev/testbed"
)

// A renewal that the end of the lease has overtaken has no effect.
func TestOvertakenRenewal(t *testing.T) {
	server := testbed.Redis(t)
	opened, err := fairlead.Open(t.Context(), server.URL())
	check.NoError(t, err)
	p := opened.(*provider)
	t.Cleanup(func() { _ = p.Close(t.Context()) })
	c := testbed.RedisClient(t, server)
	r := &registration{p: p, keys: p.serviceKeys("echo"), member: "name 127.0.0.1:1"}
	for range 2 {
		for _, lease := range []time.Duration{0, time.Hour, time.Hour} {
			check.NoError(t, r.setLease(t.Context(), lease))
			if n := c.ZCard(t.Context(), r.keys.leases).Val(); n != 0 {
				t.Fatalf("a lease of %v: %d registrations", lease, n)
			}
		}
	}
	other := &registration{p: p, keys: r.keys, member: "other 127.0.0.1:1"}
	check.NoError(t, other.setLease(t.Context(), time.Hour))
	if n := c.ZCard(t.Context(), r.keys.leases).Val(); n != 1 {
		t.Errorf("%d registrations", n)
	}
	if ttl := c.PTTL(t.Context(), r.keys.ended).Val(); ttl <= 0 || ttl > endedFor {
		t.Errorf("what has ended is remembered for %v", ttl)
	}
}
