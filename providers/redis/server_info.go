package redis

import (
	"cmp"
	"strconv"
	"strings"
)

// nodeState is what a probe found on one server.
type nodeState struct {
	addr     string
	mode     string // standalone, cluster or sentinel, as the server reports it
	version  string
	runID    string
	role     string
	loading  bool
	replicas int

	aofEnabled   bool
	aofRewriting bool // or a rewrite is scheduled
	aofRewriteOK bool
	aofWriteOK   bool
	aofInUse     bool // see prober.aofInUse
	configSets   int  // how often CONFIG SET was called
	unchanged    bool // no setting and no role was changed since the server started
	usedMemory   string
	maxMemory    string
	eviction     string // maxmemory-policy
	writable     bool   // a replica that accepts writes
	settings     map[string]string
	unverified   string // why settings could not be read
}

func parseInfo(text string) nodeState {
	f := map[string]string{}
	for line := range strings.Lines(text) {
		if name, value, ok := strings.Cut(strings.TrimRight(line, "\r\n"), ":"); ok {
			f[name] = value
		}
	}
	replicas, _ := strconv.Atoi(f["connected_slaves"])
	return nodeState{
		mode: f["redis_mode"], version: f["redis_version"], runID: f["run_id"],
		role: f["role"], loading: f["loading"] == "1", replicas: replicas,
		aofEnabled:   f["aof_enabled"] == "1",
		aofRewriting: f["aof_rewrite_in_progress"] == "1" || f["aof_rewrite_scheduled"] == "1",
		aofRewriteOK: f["aof_last_bgrewrite_status"] == "ok",
		aofWriteOK:   f["aof_last_write_status"] == "ok",
		configSets:   parseCalls(f["cmdstat_config|set"]),
		unchanged:    unchangedSinceStart(f),
		usedMemory:   f["used_memory"],
		maxMemory:    f["maxmemory"], eviction: f["maxmemory_policy"],
		writable: f["slave_read_only"] == "0",
	}
}

// unchangedSinceStart reports whether no setting and no role was changed since
// the server started. It is also false if the statistics do not reach back to
// the start. A server that was a replica has a second replication ID.
func unchangedSinceStart(info map[string]string) bool {
	for _, command := range []string{"config|set", "config|resetstat", "replicaof", "slaveof"} {
		if parseCalls(info["cmdstat_"+command]) > 0 {
			return false
		}
	}
	second := info["master_replid2"]
	return second != "" && strings.Trim(second, "0") == ""
}

// parseCalls reads the 3 of "calls=3,usec=…".
func parseCalls(stat string) int {
	first, _, _ := strings.Cut(stat, ",")
	n, _ := strconv.Atoi(strings.TrimPrefix(first, "calls="))
	return n
}

func (n nodeState) compare(m nodeState) int { return cmp.Compare(n.addr, m.addr) }
