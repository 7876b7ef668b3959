package main

// kitChanges break what portable packages and providers share.
var kitChanges = []change{
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
		what: "a backend that notices a deadline first leaves its caller with an open context",
		file: "providers/lifetime.go",
		old:  "	if code == fairlead.DeadlineExceeded {\n		awaitDeadline(ctx)\n	}\n", new: "",
		pkg: "./providers", run: "TestWaitError",
	},
	{
		what: "a limit of the client looks like the caller's own deadline",
		file: "providers/lifetime.go",
		old:  "	if code == fairlead.Unavailable {\n		return err\n	}\n	return fairlead.Errorf", new: "	if code != fairlead.Canceled {\n		return err\n	}\n	return fairlead.Errorf",
		pkg: "./providers", run: "TestWaitError",
	},
	{
		what: "a call that arrives after the end of its listener is kept for nobody",
		file: "providers/backlog.go",
		old:  "	if b.life.Err() != nil {\n		return false\n	}\n", new: "",
		pkg: "./providers", run: "TestBacklog",
	},
	{
		what: "Drain does not wait for the calls under way",
		file: "providers/lifetime.go",
		old:  "	l.End()\n	l.running.Wait()\n", new: "	l.End()\n",
		pkg: "./providers", run: "TestLifetimeDrains",
	},
	{
		what: "a lease that ends at once is renewed without a pause",
		file: "providers/retry.go",
		old:  "max(every, shortestRenewal)", new: "max(every, 0)",
		pkg: "./providers", run: "TestNothingIsRepeatedWithoutAPause",
	},
	{
		what: "a refused attempt is repeated without a pause",
		file: "providers/retry.go",
		old:  "			Pause(joined, r.pause)\n", new: "",
		pkg: "./providers", run: "TestNothingIsRepeatedWithoutAPause",
	},
	{
		what: "a diagnosis goes on after an essential check that failed",
		file: "providers/diagnose.go",
		old:  "		d.failed = c.Name\n", new: "",
		pkg: "./providers", run: "TestDiagnosisGoesOnWhereItCan",
	},
	{
		what: "a diagnosis accepts a certificate for another host",
		file: "providers/diagnose_tls.go",
		old:  "	if leaf.VerifyHostname(c.ServerName) != nil {", new: "	if false {",
		pkg: "./providers", run: "TestCertificateFaults",
	},
	{
		what: "a diagnosis shows the credentials of the URL",
		file: "providers/diagnose.go",
		old:  "parts = append(parts, \"with credentials\")", new: "parts = append(parts, d.settings.URL.User.String())",
		pkg: "./cmd/fairlead", run: "TestCommandsShowNoPasswordOfURLs",
	},
}
