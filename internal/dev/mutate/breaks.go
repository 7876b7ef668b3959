package main

// change is a small break of one file, and the test that must fail for it.
type change struct {
	what string // what is broken, in a line
	file string
	old  string // occurs once in the file
	new  string
	pkg  string // the package whose test must fail
	run  string // its name, as for "go test -run"
}

// changes are breaks that somebody could make by mistake. Add one for each fault
// that tests had not noticed.
var changes = []change{
	{
		what: "the results of a large batch are handed to the wrong callers",
		file: "internal/batcher/queue.go",
		old:  "batch[i].result <- result", new: "batch[(i+len(batch)/65)%len(batch)].result <- result",
		pkg: "./internal/batcher", run: "TestLargeBatches",
	},
	{
		what: "an operation that was given up stays in the queue",
		file: "internal/batcher/batcher.go",
		old:  "	b.queue = append(b.queue[:i], b.queue[i+1:]...)\n", new: "	_ = i\n",
		pkg: "./internal/batcher", run: "TestCallerGivesUp",
	},
	{
		what: "the trimming of a topic ignores the group that is sorted first",
		file: "providers/redis/pubsub_trim.lua",
		old:  "for _, g in ipairs(redis.call('XINFO', 'GROUPS', stream)) do\n  g = to_map(g)",
		new:  "for i, g in ipairs(redis.call('XINFO', 'GROUPS', stream)) do\n  g = to_map(g)\n  if i == 1 then g['pending'] = 0; g['last-delivered-id'] = '9999999999999-0' end",
		pkg:  "./providers/redis", run: "TestTrimKeepsWhatAnyGroupNeeds",
	},
	{
		what: "the wire between host and plugin ignores cancellations",
		file: "plugins/internal/wire/serve.go",
		old:  "		for _, id := range f.Cancels {\n			s.cancelCall(id)\n		}\n", new: "",
		pkg: "./plugins/internal/wire", run: "TestCancelReachesTheCall",
	},
	{
		what: "new settings are applied before Validate has seen them",
		file: "config/stack.go",
		old:  "	if err := checked.Validate(); err != nil {", new: "	_ = checked\n	if err := error(nil); err != nil {",
		pkg: "./config", run: "TestWatchLastGoodStays",
	},
	{
		what: "a time to live above the limit is sent to the backend",
		file: "kv/validate.go",
		old:  "op.TTL > longest {", new: "op.TTL > longest && op.TTL < 0 {",
		pkg: "./conformance", run: "TestMemory",
	},
	{
		what: "a message whose handler has not begun counts as tried",
		file: "pubsub/handle.go",
		old:  "		kind = driver.Release\n", new: "		kind = driver.Nack\n",
		pkg: "./conformance", run: "TestMemory",
	},
}
