package redis

import (
	"cmp"
	"fmt"
	"strconv"
	"strings"

	"fairlead.dev"
)

// state is what a probe found on all primaries.
type state struct{ nodes []nodeState }

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

// defect is one reason why a claim does not hold, and what to do about it.
type defect struct{ reason, remedy string }

// durabilityDefects returns why this server's acknowledged writes may not be on
// stable storage.
func (n nodeState) durabilityDefects(asserted bool) []defect {
	defects := n.infoDefects()
	if n.unverified == "" {
		return append(defects, n.settingsDefects()...)
	}
	if asserted {
		return defects
	}
	return append(defects, defect{
		"unverified: the server does not let this user read its settings (" + n.unverified + ")",
		"allow the user +config|get, or assert the settings with the parameter assert-durable=true",
	})
}

func (n nodeState) infoDefects() (defects []defect) {
	addIf := func(bad bool, reason, remedy string) {
		if bad {
			defects = append(defects, defect{reason, remedy})
		}
	}
	addIf(n.role != "master", "the server is a replica", "connect to the primary")
	addIf(!n.aofEnabled, "appendonly is no", setCommand("appendonly", "yes"))
	addIf(n.aofEnabled && !n.aofInUse,
		"a rewrite of the append-only file is running or scheduled, and may be the first one since appendonly was turned on: until it has ended, a restart does not load what is written now",
		"wait until it has ended (redis-cli INFO persistence: aof_rewrite_in_progress:0)")
	addIf(!n.aofRewriteOK, "the last rewrite of the append-only file failed",
		"read the server's log, fix the cause (often a full disk), then run redis-cli BGREWRITEAOF")
	addIf(!n.aofWriteOK, "the last write to the append-only file failed",
		"read the server's log and fix the cause (often a full disk)")
	return defects
}

func (n nodeState) settingsDefects() (defects []defect) {
	require := func(name, value string) {
		if got := n.settings[name]; got != value {
			defects = append(defects, defect{name + " is " + orUnknown(got), setCommand(name, value)})
		}
	}
	if n.aofEnabled { // else infoDefects names appendonly
		require("appendonly", "yes")
	}
	require("appendfsync", "always")
	require("no-appendfsync-on-rewrite", "no")
	if n.mayEvict() {
		require("maxmemory-policy", "noeviction")
	}
	return defects
}

// mayEvict reports whether the server may evict keys. It never does without a
// maxmemory, whatever the policy is.
func (n nodeState) mayEvict() bool {
	return n.settings != nil && n.settings["maxmemory"] != "0" && n.settings["maxmemory-policy"] != "noeviction"
}

func orUnknown(s string) string {
	if s == "" {
		return "unknown to the server"
	}
	return s
}

func setCommand(name, value string) string {
	return fmt.Sprintf("run redis-cli CONFIG SET %s %s, and set the same in redis.conf (or run redis-cli CONFIG REWRITE)", name, value)
}

// durabilityDefects returns why acknowledged writes may not be on stable
// storage. There must be no defect on any server.
func (st state) durabilityDefects(c config) (defects []defect) {
	for _, n := range st.nodes {
		for _, d := range n.durabilityDefects(c.assertDurable) {
			defects = append(defects, st.locateDefect(n, d))
		}
	}
	return defects
}

// locateDefect adds the address of the server if there are several.
func (st state) locateDefect(n nodeState, d defect) defect {
	if len(st.nodes) > 1 {
		d.reason = n.addr + ": " + d.reason
	}
	return d
}

// unsuitableError returns why this provider cannot use the servers.
func (st state) unsuitableError(mode string) error {
	for _, n := range st.nodes {
		switch {
		case n.mode == sentinel:
			return invalidf("%s is a Sentinel, which holds no data; name the primary that it monitors with the parameter \"master-name\"", n.addr)
		case mode != cluster && n.mode == cluster:
			return invalidf("%s is a node of a cluster; remove the parameter \"mode\", or set it to cluster", n.addr)
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
		if n.unverified != "" && c.assertDurable {
			notes = append(notes, n.addr+": appendfsync always, no-appendfsync-on-rewrite no and noeviction are asserted by the operator (assert-durable), not verified")
		}
	}
	return notes
}

// evictionDefects names the servers that may drop keys before they expire.
func (st state) evictionDefects() (defects []defect) {
	for _, n := range st.nodes {
		if n.mayEvict() {
			reason := "maxmemory is set and maxmemory-policy is " + n.settings["maxmemory-policy"] + ": keys may be evicted before they expire"
			defects = append(defects, st.locateDefect(n, defect{reason, setCommand("maxmemory-policy", "noeviction")}))
		}
	}
	return defects
}

// staleReadDefects returns why a read may miss an acknowledged write.
func (st state) staleReadDefects(c config) (defects []defect) {
	if c.mode != standalone {
		return []defect{{reason: "in mode " + c.mode + ", a primary that was replaced may answer reads until it notices"}}
	}
	for _, n := range st.nodes {
		if n.role != "master" {
			defects = append(defects, st.locateDefect(n, defect{"the server is a replica", "connect to the primary"}))
		}
	}
	return defects
}

// settleClaim adds c to the claims of f or, if there are defects, to what f is
// missing. All defects become one Missing, because the check of a claim shows
// only the first.
func settleClaim(f *fairlead.FacetDescription, c fairlead.Claim, defects []defect) {
	if len(defects) == 0 {
		f.Claims = append(f.Claims, c)
		return
	}
	var reasons, remedies []string
	for _, d := range defects {
		reasons = append(reasons, d.reason)
		if d.remedy != "" {
			remedies = append(remedies, d.remedy)
		}
	}
	f.Missing = append(f.Missing, fairlead.Missing{
		Claim: c, Reason: strings.Join(reasons, "; also "), Remedy: strings.Join(remedies, "; also "),
	})
}
