package etcd_test

import (
	"fmt"
	"strings"
	"testing"

	"fairlead.dev"
	"fairlead.dev/internal/dev/check"
	"fairlead.dev/internal/dev/testbed"
	"fairlead.dev/kv/driver"
)

// missing returns why a claim is not made. It is empty if the claim is made.
func missing(t *testing.T, p fairlead.Provider, c fairlead.Claim) string {
	t.Helper()
	m, _ := c.Check(facet(t, p))
	return m.String()
}

func TestOneMember(t *testing.T) {
	p := open(t, testbed.Etcd(t).URL())
	if m := missing(t, p, fairlead.DurableFsync); m != "" {
		t.Error(m)
	}
	if m := missing(t, p, fairlead.DurableQuorum); !strings.Contains(m, "1 voting member") {
		t.Errorf("quorum: %q", m)
	}
	d, err := p.Describe(t.Context())
	check.NoError(t, err)
	if d.Version != "3.7.3" || d.System != "etcd" {
		t.Errorf("version %q, system %q", d.Version, d.System)
	}
	if l := facet(t, p).Limits; l.MaxTxnOps != 128 || l.MinTTL.Seconds() != 2 {
		t.Errorf("limits: %+v", l)
	}
}

func TestMemberThatDoesNotFsync(t *testing.T) {
	server := testbed.Etcd(t, testbed.EtcdArgs("--unsafe-no-fsync"))
	for _, query := range []string{"", "?assert-durable=true"} {
		m := missing(t, open(t, server.URL()+query), fairlead.DurableFsync)
		if !strings.Contains(m, "without fsync") || !strings.Contains(m, "--unsafe-no-fsync") {
			t.Errorf("%q: %q", query, m)
		}
	}
}

// TestUnreadableMetrics: the API has a port of its own, which serves no metrics.
func TestUnreadableMetrics(t *testing.T) {
	server := testbed.Etcd(t, testbed.EtcdArgs("--listen-client-http-urls=http://127.0.0.1:0"))
	p := open(t, server.URL())
	if m := missing(t, p, fairlead.DurableFsync); !strings.Contains(m, "unverified") || !strings.Contains(m, "assert-durable") {
		t.Error(m)
	}
	p = open(t, server.URL()+"?assert-durable=true")
	if m := missing(t, p, fairlead.DurableFsync); m != "" {
		t.Error(m)
	}
	d, err := p.Describe(t.Context())
	check.NoError(t, err)
	if !strings.Contains(fmt.Sprint(d.Notes), "assert-durable") {
		t.Errorf("the notes do not say so: %v", d.Notes)
	}
}

func TestClusterIsAQuorum(t *testing.T) {
	cluster := testbed.EtcdCluster(t, 3)
	// One endpoint is enough to find the others.
	p := open(t, cluster.Nodes[0].URL()+"?probe-interval=100ms")
	if m := missing(t, p, fairlead.DurableQuorum); m != "" {
		t.Error(m)
	}
	check.NoError(t, cluster.Nodes[1].Restart(t.Context()))
	check.NoError(t, cluster.WaitOK(t.Context()))
	s := openStore(t, p, "s")
	check.Eventually(t, "puts, while members come and go", func() bool { return put(t, s, "k", "v") == nil })
	check.Eventually(t, "the claim after the restart", func() bool { return missing(t, p, fairlead.DurableQuorum) == "" })
}

func TestTxnLimitIsProbed(t *testing.T) {
	p := open(t, testbed.Etcd(t, testbed.EtcdArgs("--max-txn-ops=16")).URL())
	if n := facet(t, p).Limits.MaxTxnOps; n != 16 {
		t.Fatalf("MaxTxnOps is %d, want 16", n)
	}
	s := openStore(t, p, "s")
	var ops []driver.Op
	for i := range 200 {
		ops = append(ops, driver.Op{Kind: driver.OpCreate, Key: fmt.Sprint("k", i), Value: []byte("v")})
	}
	for i, r := range s.Do(t.Context(), ops) {
		if r.Err != nil {
			t.Fatalf("operation %d: %v", i, r.Err)
		}
	}
	txn := driver.Txn{}
	for i := range 16 {
		txn.Writes = append(txn.Writes, driver.Op{Kind: driver.OpPut, Key: fmt.Sprint("k", i)})
	}
	_, err := s.Txn(t.Context(), txn)
	check.NoError(t, err)
	txn.Writes = nil
	for i := range 16 {
		txn.Conditions = append(txn.Conditions, driver.Condition{Key: fmt.Sprint("k", i)})
	}
	_, err = s.Txn(t.Context(), txn)
	check.Code(t, err, fairlead.Conflict)
}
