package driver

import "fairlead.dev"

// The claims of the kv facet. Every provider guarantees the following without a
// claim: Get, Put, Delete, and that an acknowledged write is seen by reads that
// start after it through the same handle.
const (
	// ClaimCAS: Create, CAS and DeleteIf are atomic against every other writer.
	ClaimCAS fairlead.Claim = "kv.CAS"
	// ClaimList: entries by prefix, ordered and paged.
	ClaimList fairlead.Claim = "kv.List"
	// ClaimSnapshotList: all pages of one listing show one moment.
	ClaimSnapshotList fairlead.Claim = "kv.SnapshotList"
	// ClaimWatch: changes are delivered, from now or from a revision, in order for
	// each key, the last state of each key always; a watch survives a restart
	// of the backend, or reports the gap.
	ClaimWatch fairlead.Claim = "kv.Watch"
	// ClaimWatchEvery: a watch delivers every single change, in the order of the
	// store, once.
	ClaimWatchEvery fairlead.Claim = "kv.WatchEvery"
	// ClaimWatchTxn: a watch delivers the changes of one Txn together.
	ClaimWatchTxn fairlead.Claim = "kv.WatchTxn"
	// ClaimExpiryEvents: a watch distinguishes the end of a time to live from a
	// delete.
	ClaimExpiryEvents fairlead.Claim = "kv.ExpiryEvents"
	// ClaimTTL: a time to live for a key. It never ends early, and a reader
	// sees its end at most a second and the published resolution late. It
	// continues to run while the backend is down.
	ClaimTTL fairlead.Claim = "kv.TTL"
	// ClaimTxn: several conditions and writes as one.
	ClaimTxn fairlead.Claim = "kv.Txn"
	// ClaimLinearizableRead: a read shows every write that was acknowledged, to
	// any client, before the read began.
	ClaimLinearizableRead fairlead.Claim = "kv.LinearizableRead"
	// ClaimManage: stores can be listed and deleted by name.
	ClaimManage fairlead.Claim = "kv.Manage"
)

// Claims returns the claims of this facet with their rules.
func Claims() []fairlead.ClaimInfo {
	return []fairlead.ClaimInfo{
		{Claim: ClaimCAS, Rule: "create, compare-and-set and conditional delete are atomic"},
		{Claim: ClaimTxn, Rule: "several conditions and writes happen as one or not at all"},
		{Claim: ClaimLinearizableRead, Rule: "a read shows every write acknowledged to anybody before it began"},
		{Claim: ClaimList, Rule: "entries by prefix, ordered, paged, none twice, none left out"},
		{Claim: ClaimSnapshotList, Rule: "all pages of a listing show one moment"},
		{Claim: ClaimTTL, Rule: "a time to live never ends early and always ends"},
		{Claim: ClaimWatch, Rule: "changes from now or from a revision; the last state always; gaps reported"},
		{Claim: ClaimWatchEvery, Rule: "every change once, in the order of the store"},
		{Claim: ClaimWatchTxn, Rule: "the changes of one transaction are delivered together"},
		{Claim: ClaimExpiryEvents, Rule: "the end of a time to live is told from a delete"},
		{Claim: ClaimManage, Rule: "stores can be listed and deleted by name"},
	}
}
