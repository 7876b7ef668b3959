package etcd_test

import (
	"slices"
	"testing"
	"time"

	"fairlead.dev/internal/dev/check"
	"fairlead.dev/internal/dev/testbed"
	"fairlead.dev/kv/driver"
	"fairlead.dev/providers"
	rpc "fairlead.dev/rpc/driver"
)

// TestDeleteStoreLeavesNoLeases: a lease outlives the key that had it.
func TestDeleteStoreLeavesNoLeases(t *testing.T) {
	server := testbed.Etcd(t)
	p := open(t, server.URL())
	users := openStore(t, p, "users")
	mustPut(t, users, "k", "1", time.Hour)
	c := etcdClient(t, server)
	_, err := c.Grant(t.Context(), 3600) // another program is about to use it
	check.NoError(t, err)
	before := testbed.Content(t, server)

	s := openStore(t, p, "gone")
	mustPut(t, s, "kept", "1", time.Hour)
	for range 2 {
		mustPut(t, s, "overwritten", "1", time.Hour)
	}
	mustPut(t, s, "deleted", "1", time.Hour)
	check.NoError(t, s.Do(t.Context(), []driver.Op{{Kind: driver.OpDelete, Key: "deleted"}})[0].Err)
	check.NoError(t, p.(driver.Provider).DeleteStore(t.Context(), "gone"))
	testbed.WantContent(t, server, before)
}

// TestCleanRemovesWhatNoFacetLists leaves on the server what Stores and Topics do not
// list.
func TestCleanRemovesWhatNoFacetLists(t *testing.T) {
	server := testbed.Etcd(t)
	p := open(t, server.URL())
	c := etcdClient(t, server)
	for _, foreign := range []string{"fairlead/rpc/go/x", "fairleadx/rpc/gone-a/x", "gone-a"} {
		_, err := c.Put(t.Context(), foreign, "v")
		check.NoError(t, err)
	}
	before := testbed.Content(t, server)

	_, err := p.(rpc.Directory).Register(t.Context(), rpc.RegisterConfig{Service: "gone-a", Endpoint: rpc.Endpoint{Address: "127.0.0.1:1"}})
	check.NoError(t, err)
	_, err = c.Put(t.Context(), "fairlead/ps/gone-b/group/g", "") // its topic was deleted by hand
	check.NoError(t, err)
	removed, err := p.(providers.Cleaner).Clean(t.Context(), "gone-")
	check.NoError(t, err)
	if want := []string{"pubsub gone-b", "rpc gone-a"}; !slices.Equal(removed, want) {
		t.Errorf("removed %q, want %q", removed, want)
	}
	testbed.WantContent(t, server, before)
}
