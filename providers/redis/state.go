package redis

import (
	"fmt"
	"strconv"
	"strings"

	"fairlead.dev"
)

// state is what a probe found on all primaries.
type state struct{ nodes []nodeState }

// unsuitableError returns why this provider cannot use the servers.
func (st state) unsuitableError(mode string) error {
	for _, n := range st.nodes {
		switch {
		case n.mode == sentinel:
			return invalidf("%s is a Sentinel, which holds no data; name the primary that it monitors with the setting \"master-name\"", n.addr)
		case mode != cluster && n.mode == cluster:
			return invalidf("%s is a node of a cluster; remove the setting \"mode\", or set it to cluster", n.addr)
		case mode == cluster && n.mode != cluster:
			return invalidf("%s is not in cluster mode (cluster-enabled no); several hosts are the nodes of one cluster, or Sentinels with \"master-name\"", n.addr)
		case n.role != "master":
			return fairlead.Errorf(fairlead.Unavailable, "%s is a replica, which accepts no writes; connect to the primary, or through Sentinels with \"master-name\"", n.addr)
		case isOlder(n.version, 7):
			return fairlead.Errorf(fairlead.Unsupported, "%s runs Redis %s; this provider requires version 7.0 or newer", n.addr, n.version)
		}
	}
	return nil
}

func isOlder(version string, major int) bool {
	first, _, _ := strings.Cut(version, ".")
	n, err := strconv.Atoi(first)
	return err == nil && n < major
}

func (st state) version() string {
	if len(st.nodes) == 0 {
		return ""
	}
	return st.nodes[0].version
}

// maxBulk returns how many bytes one argument of a command may have: most, or less
// if a server takes less.
func (st state) maxBulk(most int) int {
	for _, n := range st.nodes {
		if limit, err := strconv.Atoi(n.settings["proto-max-bulk-len"]); err == nil {
			most = min(most, limit)
		}
	}
	return most
}

// leastQueryBuffer is the client-query-buffer-limit that the writes of one call
// need: the portable layer makes calls of 16 MiB, and a little more.
const leastQueryBuffer = 64 << 20

// notes returns what a user should know and no claim expresses.
func (st state) notes(c config) (notes []string) {
	switch {
	case c.mode == sentinel:
		notes = append(notes, "Sentinel: replication is asynchronous, and a failover may lose acknowledged writes; DurableFsync applies only to the server that acknowledged")
	case c.mode == cluster:
		notes = append(notes, "cluster: replication is asynchronous, and a failover may lose acknowledged writes; DurableFsync applies only to the server that acknowledged")
	}
	for _, n := range st.nodes {
		if n.replicas > 0 && c.mode == standalone {
			notes = append(notes, "the server has replicas: replication is asynchronous, and promoting one may lose acknowledged writes; DurableFsync applies only to this server")
		}
		if n.mayEvictAny() {
			notes = append(notes, n.addr+": the server may evict messages before a group has read them (maxmemory-policy "+n.eviction+"); receivers then get Compacted, and a group may wait for an evicted message")
		}
		if limit, err := strconv.Atoi(n.settings["client-query-buffer-limit"]); err == nil && limit < leastQueryBuffer {
			notes = append(notes, fmt.Sprintf("%s: client-query-buffer-limit is %d: a larger write, or batch of writes, breaks its connection; %s", n.addr, limit, setCommand("client-query-buffer-limit", "1gb")))
		}
		if n.unverified != "" && c.assertDurable {
			notes = append(notes, n.addr+": appendfsync always and no-appendfsync-on-rewrite no are asserted by the operator (assert-durable), not verified")
		}
	}
	return notes
}
