package redis

import _ "embed"

// The scripts of the kv facet. What they share comes before the text of each.
//
//go:embed kv_common.lua
var kvCommonLua string

//go:embed kv_write.lua
var kvWriteLua string

//go:embed kv_txn.lua
var kvTxnLua string

//go:embed kv_create.lua
var kvCreateLua string

//go:embed kv_list.lua
var kvListLua string

//go:embed kv_sweep.lua
var kvSweepLua string

//go:embed kv_resolve.lua
var kvResolveLua string

//go:embed kv_delete.lua
var kvDeleteLua string

var (
	kvWrite   = newScript(kvCommonLua + kvWriteLua)
	kvTxn     = newScript(kvCommonLua + kvTxnLua)
	kvCreate  = newScript(kvCommonLua + kvCreateLua)
	kvList    = newScript(kvCommonLua + kvListLua)
	kvSweep   = newScript(kvCommonLua + kvSweepLua)
	kvResolve = newScript(kvCommonLua + kvResolveLua)
	kvDelete  = newScript(kvDeleteLua)
)
