package redis

import _ "embed"

//go:embed kv_common.lua
var kvCommon string

//go:embed kv_write.lua
var kvWriteSrc string

//go:embed kv_txn.lua
var kvTxnSrc string

//go:embed kv_create.lua
var kvCreateSrc string

//go:embed kv_list.lua
var kvListSrc string

//go:embed kv_sweep.lua
var kvSweepSrc string

//go:embed kv_resolve.lua
var kvResolveSrc string

//go:embed kv_delete.lua
var kvDeleteSrc string

var (
	kvWrite   = newScript(kvCommon + kvWriteSrc)
	kvTxn     = newScript(kvCommon + kvTxnSrc)
	kvCreate  = newScript(kvCommon + kvCreateSrc)
	kvList    = newScript(kvCommon + kvListSrc)
	kvSweep   = newScript(kvCommon + kvSweepSrc)
	kvResolve = newScript(kvCommon + kvResolveSrc)
	kvDelete  = newScript(kvDeleteSrc)
)
