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
	mode     string // standalone, cluster or sentinel, as the server says
	version  string
	runID    string
	role     string
	loading  bool
	replicas int

	aofEnabled   bool
	aofRewriting bool // or about to
	aofRewriteOK bool
	aofWriteOK   bool
	aofInUse     bool // see prober.aofInUse
	configSets   int  // how often CONFIG SET was called
	untouched    bool // no setting and no role was changed since the server started
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
		configSets:   calls(f["cmdstat_config|set"]),
		untouched:    untouched(f),
	}
}

// untouched is false, too, if the statistics do not reach back to the start.
// A server that was a replica once has a second replication id.
func untouched(info map[string]string) bool {
	for _, command := range []string{"config|set", "config|resetstat", "replicaof", "slaveof"} {
		if calls(info["cmdstat_"+command]) > 0 {
			return false
		}
	}
	second := info["master_replid2"]
	return second != "" && strings.Trim(second, "0") == ""
}

// calls reads "calls=3,usec=…".
func calls(stat string) int {
	first, _, _ := strings.Cut(stat, ",")
	n, _ := strconv.Atoi(strings.TrimPrefix(first, "calls="))
	return n
}

func (n nodeState) compare(m nodeState) int { return cmp.Compare(n.addr, m.addr) }

// lack is one thing that keeps a guarantee from holding.
type lack struct{ reason, remedy string }

// lacks lists what keeps this server's acknowledged writes from being on
// stable storage.
func (n nodeState) lacks(asserted bool) []lack {
	lacks := n.lacksOfInfo()
	if n.unverified == "" {
		return append(lacks, n.lacksOfSettings()...)
	}
	if asserted {
		return lacks
	}
	return append(lacks, lack{
		"unverified: the server does not let this user read its settings (" + n.unverified + ")",
		"allow the user +config|get, or assert the settings with the parameter assert-durable=true",
	})
}

func (n nodeState) lacksOfInfo() (lacks []lack) {
	add := func(bad bool, reason, remedy string) {
		if bad {
			lacks = append(lacks, lack{reason, remedy})
		}
	}
	add(n.role != "master", "the server is a replica", "connect to the primary")
	add(!n.aofEnabled, "appendonly is no", set("appendonly", "yes"))
	add(n.aofEnabled && !n.aofInUse,
		"a rewrite of the append-only file is running or waiting that may be the first one since appendonly was turned on: until it has ended, a restart does not load what is written now",
		"wait until it has ended (redis-cli INFO persistence: aof_rewrite_in_progress:0)")
	add(!n.aofRewriteOK, "the last rewrite of the append-only file failed",
		"look into the server's log, mend the cause (often a full disk), then redis-cli BGREWRITEAOF")
	add(!n.aofWriteOK, "the last write to the append-only file failed",
		"look into the server's log and mend the cause (often a full disk)")
	return lacks
}

func (n nodeState) lacksOfSettings() (lacks []lack) {
	demand := func(name, value string) {
		if got := n.settings[name]; got != value {
			lacks = append(lacks, lack{name + " is " + orNothing(got), set(name, value)})
		}
	}
	if n.aofEnabled { // else appendonly was named before
		demand("appendonly", "yes")
	}
	demand("appendfsync", "always")
	demand("no-appendfsync-on-rewrite", "no")
	if n.mayEvict() {
		demand("maxmemory-policy", "noeviction")
	}
	return lacks
}

// mayEvict: without a maxmemory nothing is evicted, whatever the policy says.
func (n nodeState) mayEvict() bool {
	return n.settings != nil && n.settings["maxmemory"] != "0" && n.settings["maxmemory-policy"] != "noeviction"
}

func orNothing(s string) string {
	if s == "" {
		return "unknown to the server"
	}
	return s
}

func set(name, value string) string {
	return fmt.Sprintf("redis-cli CONFIG SET %s %s, and the same in redis.conf (or redis-cli CONFIG REWRITE)", name, value)
}

// undurable lists what keeps acknowledged writes from being on stable storage.
// All servers must satisfy.
func (st state) undurable(c config) (lacks []lack) {
	for _, n := range st.nodes {
		for _, l := range n.lacks(c.assertDurable) {
			lacks = append(lacks, st.at(n, l))
		}
	}
	return lacks
}

// at names the server where there are several.
func (st state) at(n nodeState, l lack) lack {
	if len(st.nodes) > 1 {
		l.reason = n.addr + ": " + l.reason
	}
	return l
}

// unfit is an error for servers that this provider cannot work with.
func (st state) unfit(mode string) error {
	for _, n := range st.nodes {
		switch {
		case n.mode == sentinel:
			return invalid("%s is a Sentinel, not a server of data; name the primary that it watches with the parameter \"master-name\"", n.addr)
		case mode != cluster && n.mode == cluster:
			return invalid("%s is a node of a cluster; leave the parameter \"mode\" out, or set it to cluster", n.addr)
		case mode == cluster && n.mode != cluster:
			return invalid("%s is not in cluster mode (cluster-enabled no); several hosts are the nodes of one cluster, or Sentinels with \"master-name\"", n.addr)
		case n.role != "master":
			return fairlead.Errorf(fairlead.Unavailable, "%s is a replica, which takes no writes; connect to the primary, or through Sentinel with \"master-name\"", n.addr)
		case older(n.version, 7):
			return fairlead.Errorf(fairlead.Unsupported, "%s runs Redis %s; version 7.0 or newer is needed", n.addr, n.version)
		}
	}
	return nil
}

func older(version string, major int) bool {
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

// notes are what no claim says.
func (st state) notes(c config) (notes []string) {
	switch {
	case c.mode == sentinel:
		notes = append(notes, "Sentinel: replication is asynchronous, and a failover may lose acknowledged writes; DurableFsync speaks of the one server that acknowledged")
	case c.mode == cluster:
		notes = append(notes, "cluster: replication is asynchronous, and a failover may lose acknowledged writes; DurableFsync speaks of the one server that acknowledged")
	}
	for _, n := range st.nodes {
		if n.replicas > 0 && c.mode == standalone {
			notes = append(notes, "the server has replicas: replication is asynchronous, and promoting one may lose acknowledged writes; DurableFsync speaks of this server alone")
		}
		if n.unverified != "" && c.assertDurable {
			notes = append(notes, n.addr+": appendfsync always, no-appendfsync-on-rewrite no and noeviction are asserted by the operator (assert-durable), not verified")
		}
	}
	return notes
}

// evicts lists the servers that may drop keys before their time.
func (st state) evicts() (lacks []lack) {
	for _, n := range st.nodes {
		if n.mayEvict() {
			reason := "maxmemory is set and maxmemory-policy is " + n.settings["maxmemory-policy"] + ": keys may be evicted before their time"
			lacks = append(lacks, st.at(n, lack{reason, set("maxmemory-policy", "noeviction")}))
		}
	}
	return lacks
}

// stale lists what may let a read miss an acknowledged write.
func (st state) stale(c config) (lacks []lack) {
	if c.mode != standalone {
		return []lack{{reason: "in mode " + c.mode + ", a primary that was replaced may answer reads until it notices"}}
	}
	for _, n := range st.nodes {
		if n.role != "master" {
			lacks = append(lacks, st.at(n, lack{"the server is a replica", "connect to the primary"}))
		}
	}
	return lacks
}

// claim adds c to what f claims or, if something keeps it from holding, to
// what is missing: in one piece, as a claim that is looked up by name shows
// the first Missing only.
func claim(f *fairlead.FacetDescription, c fairlead.Claim, lacks []lack) {
	if len(lacks) == 0 {
		f.Claims = append(f.Claims, c)
		return
	}
	var reasons, remedies []string
	for _, l := range lacks {
		reasons = append(reasons, l.reason)
		if l.remedy != "" {
			remedies = append(remedies, l.remedy)
		}
	}
	f.Missing = append(f.Missing, fairlead.Missing{
		Claim: c, Reason: strings.Join(reasons, "; also "), Remedy: strings.Join(remedies, "; also "),
	})
}
