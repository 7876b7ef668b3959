package nats_test

import (
	"slices"
	"strings"
	"testing"

	"fairlead.dev"
	"fairlead.dev/internal/dev/check"
	"fairlead.dev/internal/dev/testbed"
	"fairlead.dev/pubsub"
)

// found returns the durability claims of the first facet, and why the others are
// missing.
func found(t *testing.T, url string) (claims []fairlead.Claim, missing string) {
	t.Helper()
	d, err := open(t, url).Describe(t.Context())
	check.NoError(t, err)
	f, ok := d.Facet(fairlead.KV)
	if !ok {
		t.Fatalf("no stores: %+v", d)
	}
	for _, c := range []fairlead.Claim{fairlead.DurableFsync, fairlead.DurableQuorum} {
		if m, lacks := c.Check(f); lacks {
			missing += m.String() + "\n"
		} else {
			claims = append(claims, c)
		}
	}
	return claims, missing
}

func TestDurability(t *testing.T) {
	late, always := testbed.NATS(t), testbed.NATS(t, testbed.NATSSync("always"))
	fsync, both := []fairlead.Claim{fairlead.DurableFsync}, []fairlead.Claim{fairlead.DurableFsync, fairlead.DurableQuorum}
	for _, c := range []struct {
		url    string
		claims []fairlead.Claim
		says   string
	}{
		{always.URL(), nil, "unverified"},
		{always.URL() + "?monitor=" + always.MonitorURL(), fsync, "replicas is 1"},
		{late.URL() + "?monitor=" + late.MonitorURL(), nil, "sync_interval of " + late.MonitorURL() + " is 2m0s"},
		{late.URL() + "?monitor=" + always.MonitorURL() + "," + late.MonitorURL(), nil, "is 2m0s"},
		{late.URL() + "?monitor=http://127.0.0.1:1", nil, "cannot be read"},
		{late.URL() + "?assert-sync-always=true", fsync, "replicas is 1"},
		{late.URL() + "?replicas=3&assert-sync-always=true", both, ""},
		{always.URL() + "?replicas=3&monitor=" + always.MonitorURL(), fsync, "fewer servers"},
	} {
		claims, missing := found(t, c.url)
		if !slices.Equal(claims, c.claims) || !strings.Contains(missing, c.says) {
			t.Errorf("%s: claims %v; missing %s; want %v and %q", c.url, claims, missing, c.claims, c.says)
		}
	}
}

func TestWithoutJetStream(t *testing.T) {
	server := testbed.NATS(t, testbed.NATSConf(`accounts { A { users: [ { user: "app", password: "pw" } ] } }`))
	d, err := open(t, server.URLFor("app", "pw")).Describe(t.Context())
	if err != nil || len(d.Facets) != 1 || d.Facets[0].Facet != fairlead.RPC || !strings.Contains(strings.Join(d.Notes, " "), "JetStream cannot be used") {
		t.Errorf("%+v, %v", d, err)
	}
}

func TestSmallPayload(t *testing.T) {
	server := testbed.NATS(t, testbed.NATSConf("max_payload: 64KB"))
	d, err := open(t, server.URL()).Describe(t.Context())
	if err != nil || len(d.Facets) != 1 || !strings.Contains(strings.Join(d.Notes, " "), "max_payload") {
		t.Errorf("%+v, %v", d, err)
	}
}

// What the limits of a server or of an account do not allow is refused with the
// server's reason, and nothing is promised of it.
func TestLimitsOfServersAndAccounts(t *testing.T) {
	account := func(limits string) testbed.NATSOption {
		return testbed.NATSConf(`accounts { A { jetstream: { ` + limits + ` }, users: [ { user: "app", password: "pw" } ] } }`)
	}
	user := func(s *testbed.NATSServer) string { return s.URLFor("app", "pw") }
	server := (*testbed.NATSServer).URL
	for _, c := range []struct {
		name   string
		option testbed.NATSOption
		url    func(*testbed.NATSServer) string
		code   fairlead.Code
		says   string
	}{
		{"duplicate_window", testbed.NATSLimits("duplicate_window: 1s"), server, fairlead.Invalid, "duplicates window"},
		{"max_ack_pending of the server", testbed.NATSLimits("max_ack_pending: 100"), server, fairlead.Invalid, "max ack pending"},
		{"max_streams", account("max_streams: 1"), user, fairlead.Unavailable, "maximum number of streams"},
		{"max_consumers", account("max_consumers: 1"), user, fairlead.Unavailable, "maximum consumers"},
		{"max_ack_pending of the account", account("max_ack_pending: 100"), user, fairlead.Invalid, "max ack pending"},
		{"max_store", account("max_store: 1MB"), user, 0, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := open(t, c.url(testbed.NATS(t, c.option)))
			var err error
			for _, topic := range []string{"a", "b"} {
				for _, group := range []string{"g", "h"} {
					if err == nil {
						var s *pubsub.Subscription
						if s, err = pubsub.Subscribe(t.Context(), p, topic, pubsub.Group(group)); err == nil {
							defer s.Close(t.Context())
						}
					}
				}
			}
			if check.Code(t, err, c.code); err != nil && !strings.Contains(err.Error(), c.says) {
				t.Errorf("got %v, want the words %q", err, c.says)
			}
		})
	}
}
