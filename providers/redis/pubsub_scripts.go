package redis

import _ "embed"

// The scripts of the pubsub facet. Each reads and changes a topic in one step,
// by the server's clock. What they share comes before the text of each.
//
//go:embed pubsub_common.lua
var pubsubCommonLua string

//go:embed pubsub_publish.lua
var publishLua string

//go:embed pubsub_join.lua
var joinLua string

//go:embed pubsub_receive.lua
var receiveLua string

//go:embed pubsub_settle.lua
var settleLua string

//go:embed pubsub_give_back.lua
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
	publishScript     = newScript(publishLua) // uses nothing of the shared text
	joinScript        = newScript(pubsubCommonLua + joinLua)
	receiveScript     = newScript(allowFull + pubsubCommonLua + receiveLua)
	settleScript      = newScript(allowFull + pubsubCommonLua + settleLua)
	giveBackScript    = newScript(allowFull + pubsubCommonLua + giveBackLua)
	readScript        = newScript(pubsubCommonLua + readLua)
	trimScript        = newScript(allowFull + pubsubCommonLua + trimLua)
	deleteTopicScript = newScript(allowFull + pubsubCommonLua + deleteTopicLua)
	deleteGroupScript = newScript(allowFull + pubsubCommonLua + deleteGroupLua)
)
