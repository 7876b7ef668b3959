package redis

import (
	_ "embed" // for the scripts
)

// The scripts are the truth of the facet: each sees and changes a topic in one
// step, by the server's clock. What they share is put before each of them.
//
//go:embed pubsub_common.lua
var commonLua string

//go:embed pubsub_publish.lua
var publishLua string

//go:embed pubsub_join.lua
var joinLua string

//go:embed pubsub_receive.lua
var receiveLua string

//go:embed pubsub_settle.lua
var settleLua string

//go:embed pubsub_giveback.lua
var giveBackLua string

//go:embed pubsub_read.lua
var readLua string

//go:embed pubsub_trim.lua
var trimLua string

//go:embed pubsub_delete_topic.lua
var deleteTopicLua string

//go:embed pubsub_delete_group.lua
var deleteGroupLua string

var (
	publishScript     = newScript(publishLua) // needs nothing of the others
	joinScript        = newScript(commonLua + joinLua)
	receiveScript     = newScript(commonLua + receiveLua)
	settleScript      = newScript(commonLua + settleLua)
	giveBackScript    = newScript(commonLua + giveBackLua)
	readScript        = newScript(commonLua + readLua)
	trimScript        = newScript(commonLua + trimLua)
	deleteTopicScript = newScript(commonLua + deleteTopicLua)
	deleteGroupScript = newScript(commonLua + deleteGroupLua)
)
