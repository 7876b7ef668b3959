package main

import (
	"fmt"
	"net/url"
	"strings"
	"testing"

	clientv3 "go.etcd.io/etcd/client/v3"

	"fairlead.dev/internal/dev/check"
	"fairlead.dev/internal/dev/testbed"
	"fairlead.dev/providers"
)

// etcdctl does what a command of the doctor does.
func etcdctl(t *testing.T, c *clientv3.Client, commands string) {
	t.Helper()
	for _, command := range strings.Split(commands, " && ") {
		var err error
		words := strings.Fields(command)
		switch strings.Join(words[:min(3, len(words))], " ") {
		case "etcdctl role add":
			_, err = c.RoleAdd(t.Context(), words[3])
		case "etcdctl user grant-role":
			_, err = c.UserGrantRole(t.Context(), words[3], words[4])
		case "etcdctl role grant-permission":
			if words[4] != "--prefix=true" || words[5] != "readwrite" {
				t.Fatalf("the command is %s", command)
			}
			_, err = c.RoleGrantPermission(t.Context(), words[3], words[6], clientv3.GetPrefixRangeEnd(words[6]), clientv3.PermissionType(clientv3.PermReadWrite))
		default:
			t.Fatalf("an unknown command: %s", command)
		}
		check.NoError(t, err)
	}
}

func TestDoctorOfEtcd(t *testing.T) {
	server := testbed.Etcd(t, testbed.EtcdRootPassword("s3cret"), testbed.EtcdQuota(16<<20))
	c, err := server.Client()
	check.NoError(t, err)
	defer c.Close()
	for _, user := range []string{"reader", "nobody", "half"} {
		_, err := c.UserAdd(t.Context(), user, "pw")
		check.NoError(t, err)
	}
	for role, kind := range map[string]clientv3.PermissionType{"reader": clientv3.PermissionType(clientv3.PermRead), "half": clientv3.PermissionType(clientv3.PermReadWrite)} {
		_, err := c.RoleAdd(t.Context(), role)
		check.NoError(t, err)
		prefix := map[string]string{"reader": "fairlead/", "half": "fairlead/kv/"}[role]
		_, err = c.RoleGrantPermission(t.Context(), role, prefix, clientv3.GetPrefixRangeEnd(prefix), kind)
		check.NoError(t, err)
		_, err = c.UserGrantRole(t.Context(), role, role)
		check.NoError(t, err)
	}
	_, err = c.Put(t.Context(), "fairlead/kv/store/key", "kept")
	check.NoError(t, err)
	for user, lacks := range map[string]string{"reader": "may not write", "nobody": "may not read and write", "half": "may not read and write"} {
		all, _ := runDoctorOn(t, server, exitFailure, server.URLFor(user, "pw"))
		f := wantFinding(t, all, providers.CheckPermissions, providers.CheckProblem, lacks, "begin with fairlead/")
		wantFinding(t, all, providers.CheckLogin, providers.CheckOK, user)
		etcdctl(t, c, f.Command)
		all, _ = runDoctorOn(t, server, exitOK, server.URLFor(user, "pw"))
		wantNoProblem(t, all)
		if all.Warnings > 1 { // of the missing quorum
			t.Errorf("%s: %+v", user, all)
		}
	}
	all, _ := runDoctorOn(t, server, exitOK, server.URLFor("reader", "pw"))
	wantFinding(t, all, providers.CheckClock, providers.CheckOK)
	wantFinding(t, all, providers.CheckVersion, providers.CheckOK, "etcd 3.")
	wantFinding(t, all, providers.CheckQuotas, providers.CheckOK, "--quota-backend-bytes is 16.0 MiB")
	wantFinding(t, all, providers.CheckDurability, providers.CheckWarning, "DurableQuorum", "three or more")
	for _, u := range []string{server.URLFor("reader", "wr0ng"), server.URL()} {
		all, _ := runDoctorOn(t, nil, exitFailure, u)
		wantFinding(t, all, providers.CheckLogin, providers.CheckProblem)
		wantFinding(t, all, providers.CheckPermissions, providers.CheckNotReached)
	}
	check.NoError(t, server.Fill(t.Context()))
	all, _ = runDoctorOn(t, nil, exitFailure, server.URLFor("root", "s3cret"))
	wantFinding(t, all, providers.CheckQuotas, providers.CheckProblem, "NOSPACE", "defragment", "alarm disarm")
}

// natsAccount is the configuration of a server whose user has these rights.
func natsAccount(publish, subscribe string) testbed.NATSOption {
	return testbed.NATSConf(fmt.Sprintf(`accounts { A { jetstream: enabled, users: [ { user: "app", password: "pw",
		permissions: { publish: { allow: [%s] }, subscribe: { allow: [%s] } } } ] } }`, publish, subscribe))
}

func TestDoctorOfNATS(t *testing.T) {
	const all = `"$JS.API.>", "$JS.ACK.>", "fairlead.>", "_INBOX.>"`
	const listen = `"fairlead.rpc.>", "fairlead.kvd.>", "_INBOX.>"`
	t.Run("the documented rights", func(t *testing.T) {
		server := testbed.NATS(t, natsAccount(all, listen))
		found, _ := runDoctorOn(t, server, exitOK, server.URLFor("app", "pw"))
		wantNoProblem(t, found)
		wantFinding(t, found, providers.CheckClock, providers.CheckNotTold, "monitor")
		found, _ = runDoctorOn(t, nil, exitFailure, server.URLFor("app", "wr0ng"))
		wantFinding(t, found, providers.CheckLogin, providers.CheckProblem, "correct the user")
	})
	t.Run("fewer rights", func(t *testing.T) {
		server := testbed.NATS(t, natsAccount(`"$JS.API.INFO", "$JS.API.STREAM.>", "fairlead.>"`, `"_INBOX.>"`))
		found, _ := runDoctorOn(t, server, exitFailure, server.URLFor("app", "pw"))
		wantFinding(t, found, providers.CheckPermissions, providers.CheckProblem, "publish to $JS.API.> (for example $JS.API.DIRECT.GET.", "publish to $JS.ACK.>",
			"every facet: the user may not publish to _INBOX.>", "rpc: the user may not subscribe to fairlead.rpc.>",
			`publish: { allow: ["$JS.API.>", "$JS.ACK.>", "_INBOX.>"] }, subscribe: { allow: ["fairlead.rpc.>"] }`)
		wantFinding(t, found, providers.CheckPermissions, providers.CheckWarning, "fairlead.kvd.>", "full server")
	})
	t.Run("full, with a monitor", func(t *testing.T) {
		server := testbed.NATS(t, testbed.NATSStorage("16MB"))
		u := server.URL() + "?monitor=" + url.QueryEscape(server.MonitorURL())
		found, _ := runDoctorOn(t, server, exitOK, u)
		wantFinding(t, found, providers.CheckClock, providers.CheckOK)
		wantFinding(t, found, providers.CheckDurability, providers.CheckWarning, "sync_interval")
		check.NoError(t, server.Fill(t.Context()))
		found, _ = runDoctorOn(t, server, exitFailure, u)
		wantFinding(t, found, providers.CheckQuotas, providers.CheckProblem, "max_file_store", "full", "raise the limit")
	})
	t.Run("no JetStream", func(t *testing.T) {
		server := testbed.NATS(t, testbed.NATSConf(`accounts { A { users: [ { user: "app", password: "pw" } ] } }`))
		found, _ := runDoctorOn(t, nil, exitFailure, server.URLFor("app", "pw"))
		wantFinding(t, found, providers.CheckQuotas, providers.CheckProblem, "JetStream is not enabled", "jetstream: enabled")
		runDoctorOn(t, nil, exitOK, server.URLFor("app", "pw"), "--facet", "rpc")
	})
}

// TestDoctorOfMixedTLSOfOthers meets ports that speak TLS without it, and others with it.
func TestDoctorOfMixedTLSOfOthers(t *testing.T) {
	secureEtcd, plainEtcd := testbed.Etcd(t, testbed.EtcdTLS(false)), testbed.Etcd(t)
	secureNATS, plainNATS := testbed.NATS(t, testbed.NATSTLS(true)), testbed.NATS(t)
	ca := func(c *testbed.Certificates) string { return "?ca-file=" + url.QueryEscape(c.CA) }
	for u, texts := range map[string][]string{
		"etcd://" + secureEtcd.Addr():                                                     {"a TLS port met without TLS", "etcds://"},
		"etcds://" + plainEtcd.Addr():                                                     {"a plain port met with TLS", "etcd://"},
		"etcds://" + secureEtcd.Addr():                                                    {"no known authority", "ca-file"},
		"nats://" + secureNATS.Addr():                                                     {"a TLS port met without TLS", "tls=true"},
		"nats://" + plainNATS.Addr() + "?tls=true":                                        {"a plain port met with TLS", "leave out tls"},
		"nats://" + secureNATS.Addr() + ca(secureNATS.Certificates()):                     {"client certificate", "cert-file"},
		"nats://" + secureNATS.Addr() + "?tls=true":                                       {"client certificate"},
		"etcds://" + secureEtcd.Addr() + ca(secureEtcd.Certificates()) + "&server-name=x": {"not for x"},
	} {
		found, _ := runDoctorOn(t, nil, exitFailure, u)
		wantFinding(t, found, providers.CheckTLS, providers.CheckProblem, texts...)
	}
	found, _ := runDoctorOn(t, nil, exitOK, "etcds://"+secureEtcd.Addr()+ca(secureEtcd.Certificates()))
	wantNoProblem(t, found)
	certs := secureNATS.Certificates()
	found, _ = runDoctorOn(t, nil, exitOK, "nats://"+secureNATS.Addr()+ca(certs)+"&cert-file="+url.QueryEscape(certs.ClientCert)+"&key-file="+url.QueryEscape(certs.ClientKey))
	wantNoProblem(t, found)
}

func TestDoctorOfDapr(t *testing.T) {
	sidecar := testbed.Dapr(t, testbed.DaprInMemory(), testbed.DaprToken("t0ken"))
	good := "dapr://:t0ken@" + sidecar.Addr()
	found, _ := runDoctorOn(t, nil, exitOK, good)
	wantNoProblem(t, found)
	wantFinding(t, found, "app id", providers.CheckOK, sidecar.AppID())
	wantFinding(t, found, "components", providers.CheckWarning, "kv", "state.in-memory", "lost with the sidecar")
	wantFinding(t, found, providers.CheckVersion, providers.CheckOK, "Dapr ")
	wantFinding(t, found, providers.CheckQuotas, providers.CheckNotTold)
	found, _ = runDoctorOn(t, nil, exitFailure, good+"?state=nosuch")
	wantFinding(t, found, "components", providers.CheckProblem, "kv", "nosuch", "\"state\"")
	found, _ = runDoctorOn(t, nil, exitFailure, "dapr://:wr0ng@"+sidecar.Addr())
	wantFinding(t, found, providers.CheckLogin, providers.CheckProblem, "API token")
	wantFinding(t, found, "components", providers.CheckNotReached)
	found, _ = runDoctorOn(t, nil, exitFailure, "daprs://:t0ken@"+sidecar.Addr())
	wantFinding(t, found, providers.CheckTLS, providers.CheckProblem, "a plain port met with TLS", "dapr://")
}

// TestDoctorOfARedisCluster: the permissions of a user are those that it has on every
// server.
func TestDoctorOfARedisCluster(t *testing.T) {
	nodes := testbed.Cluster(t, false, testbed.RedisUser("app", "pw", redisPermissions(t)))
	at := func(addrs ...string) string { return "redis://app:pw@" + strings.Join(addrs, ",") }
	found, _ := runDoctorOn(t, nodes.Nodes[0], exitFailure, at(nodes.Addrs()[0]))
	f := wantFinding(t, found, providers.CheckPermissions, providers.CheckProblem, "every facet: the user lacks +cluster|slots", "on every server")
	if f.Command != "redis-cli ACL SETUSER app '+cluster|slots'" {
		t.Errorf("the command is %s", f.Command)
	}
	for i, node := range nodes.Nodes {
		rules := []any{"acl", "setuser", "app", "+cluster|slots"}
		if i == 1 {
			rules = append(rules, "-hset")
		}
		check.NoError(t, testbed.RedisClient(t, node).Do(t.Context(), rules...).Err())
	}
	found, _ = runDoctorOn(t, nil, exitFailure, at(nodes.Addrs()...))
	wantFinding(t, found, providers.CheckPermissions, providers.CheckProblem, "pubsub: the user lacks +hset")
	if n := len(found.of(providers.CheckVersion)); n != len(nodes.Nodes) {
		t.Errorf("%d versions of %d servers", n, len(nodes.Nodes))
	}
	check.NoError(t, testbed.RedisClient(t, nodes.Nodes[1]).Do(t.Context(), "acl", "setuser", "app", "+hset").Err())
	found, _ = runDoctorOn(t, nodes.Nodes[1], exitOK, at(nodes.Addrs()...))
	wantNoProblem(t, found)
}
