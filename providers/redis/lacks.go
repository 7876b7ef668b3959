package redis

import (
	"fmt"
	"strings"

	"fairlead.dev"
	"fairlead.dev/providers"
)

// durabilityLacks returns why acknowledged writes may not be on stable
// storage. None of the servers may lack anything.
func (st state) durabilityLacks(c config) (lacks []providers.Lack) {
	for _, n := range st.nodes {
		for _, l := range n.durabilityLacks(c.assertDurable) {
			lacks = append(lacks, st.locateLack(n, l))
		}
	}
	return lacks
}

// durabilityLacks returns why this server's acknowledged writes may not be on
// stable storage.
func (n nodeState) durabilityLacks(asserted bool) []providers.Lack {
	lacks := n.infoLacks()
	if n.unverified == "" {
		return append(lacks, n.settingsLacks()...)
	}
	if asserted {
		return lacks
	}
	return append(lacks, providers.Lack{
		Reason: "unverified: the server does not let this user read its settings (" + n.unverified + ")",
		Remedy: "allow the user +config|get, or assert the settings with the setting assert-durable=true",
	})
}

// durabilityBasis returns what the claim of durability rests on, if it holds.
func (st state) durabilityBasis() fairlead.Basis {
	for _, n := range st.nodes {
		if n.unverified != "" {
			return providers.Asserted("assert-durable=true")
		}
	}
	return providers.Verified("appendonly is yes, appendfsync always, and no-appendfsync-on-rewrite no (CONFIG GET, INFO)")
}

func (n nodeState) infoLacks() (lacks []providers.Lack) {
	addIf := func(bad bool, reason, remedy string) {
		if bad {
			lacks = append(lacks, providers.Lack{Reason: reason, Remedy: remedy})
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
	addIf(n.mayEvict(), "maxmemory is set and maxmemory-policy is "+n.eviction, setCommand("maxmemory-policy", "noeviction"))
	return lacks
}

func (n nodeState) settingsLacks() (lacks []providers.Lack) {
	require := func(name, value string) {
		if got := n.settings[name]; got != value {
			lacks = append(lacks, providers.Lack{Reason: name + " is " + orUnknown(got), Remedy: setCommand(name, value)})
		}
	}
	if n.aofEnabled { // else infoLacks names appendonly
		require("appendonly", "yes")
	}
	require("appendfsync", "always")
	require("no-appendfsync-on-rewrite", "no")
	return lacks
}

// mayEvict reports whether the server may evict keys. It never does without a
// maxmemory, whatever the policy is.
func (n nodeState) mayEvict() bool {
	return n.maxMemory != "" && n.maxMemory != "0" && n.eviction != "noeviction"
}

// mayEvictAny reports whether the server may evict keys without a time to live, too.
func (n nodeState) mayEvictAny() bool {
	return n.mayEvict() && !strings.HasPrefix(n.eviction, "volatile-")
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

// expiryLacks names the servers that may drop keys with a time to live before they
// expire.
func (st state) expiryLacks() (lacks []providers.Lack) {
	for _, n := range st.nodes {
		if n.mayEvict() {
			reason := "maxmemory is set and maxmemory-policy is " + n.eviction + ": keys may be evicted before they expire"
			lacks = append(lacks, st.locateLack(n, providers.Lack{Reason: reason, Remedy: setCommand("maxmemory-policy", "noeviction")}))
		}
	}
	return append(lacks, st.overwrittenLacks()...)
}

// lossLacks names the servers that may drop any key while they run.
func (st state) lossLacks() (lacks []providers.Lack) {
	for _, n := range st.nodes {
		if n.mayEvictAny() {
			reason := "maxmemory is set and maxmemory-policy is " + n.eviction + ": any key may be evicted, without an event"
			lacks = append(lacks, st.locateLack(n, providers.Lack{Reason: reason, Remedy: setCommand("maxmemory-policy", "noeviction")}))
		}
	}
	return append(lacks, st.overwrittenLacks()...)
}

// overwrittenLacks names the servers that have become replicas and accept writes all
// the same.
func (st state) overwrittenLacks() (lacks []providers.Lack) {
	for _, n := range st.nodes {
		if n.role != "master" && n.writable {
			lacks = append(lacks, st.locateLack(n, providers.Lack{
				Reason: "the server is a replica with replica-read-only no: its primary overwrites what is written to it",
				Remedy: "connect to the primary, and " + setCommand("replica-read-only", "yes")}))
		}
	}
	return lacks
}

// staleReadLacks returns why a read may miss an acknowledged write.
func (st state) staleReadLacks(c config) (lacks []providers.Lack) {
	if c.mode != standalone {
		return []providers.Lack{{Reason: "in mode " + c.mode + ", a primary that was replaced may answer reads until it notices"}}
	}
	for _, n := range st.nodes {
		if n.role != "master" {
			lacks = append(lacks, st.locateLack(n, providers.Lack{Reason: "the server is a replica", Remedy: "connect to the primary"}))
		}
	}
	return lacks
}

// locateLack adds the address of the server if there are several.
func (st state) locateLack(n nodeState, l providers.Lack) providers.Lack {
	if len(st.nodes) > 1 {
		l.Reason = n.addr + ": " + l.Reason
	}
	return l
}
