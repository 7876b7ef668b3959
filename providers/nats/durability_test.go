package nats_test

import (
	"slices"
	"strings"
	"testing"

	"fairlead.dev"
	"fairlead.dev/internal/dev/check"
	"fairlead.dev/internal/dev/testbed"
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
