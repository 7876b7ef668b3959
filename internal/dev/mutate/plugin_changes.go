package main

// pluginChanges break what is between a program and its plugins.
var pluginChanges = []change{
	{
		what: "the wire between host and plugin ignores cancellations",
		file: "plugins/internal/wire/serve.go",
		old:  "		for _, id := range f.Cancels {\n			s.cancelCall(id)\n		}\n", new: "",
		pkg: "./plugins/internal/wire", run: "TestCancelReachesTheCall",
	},
	{
		what: "a plugin takes any number of calls that it has not answered",
		file: "plugins/internal/wire/serve.go",
		old:  "n > maxUnanswered {", new: "n > 1<<40 {",
		pkg: "./plugins/internal/wire", run: "TestUnansweredCallsAreBounded",
	},
	{
		what: "a session takes any number of handles",
		file: "plugins/internal/service/session.go",
		old:  "len(s.handles) >= maxHandles {", new: "len(s.handles) >= 1<<40 {",
		pkg: "./plugins/internal/service", run: "TestHandlesAreBounded",
	},
	{
		what: "a connection that never attaches is kept",
		file: "plugins/internal/service/service.go",
		old:  "	late := time.NewTimer(attachTimeout)\n", new: "	late := time.NewTimer(1000 * attachTimeout)\n",
		pkg: "./plugins/internal/service", run: "TestConnectionWithoutAttach",
	},
	{
		what: "a client that guesses the number of a session can close it",
		file: "plugins/internal/service/service.go",
		old:  "	_, err := s.findSession(req.Session, req.Token)\n	if", new: "	var err error\n	if",
		pkg: "./plugins/internal/service", run: "TestSessionsBelongToTheirHosts",
	},
	{
		what: "a part of a session's token suffices",
		file: "plugins/internal/service/service.go",
		old:  "subtle.ConstantTimeCompare(se.token, token) != 1:", new: "subtle.ConstantTimeCompare(se.token[len(se.token)-min(len(token), len(se.token)):], token) != 1:",
		pkg: "./plugins/internal/service", run: "TestSessionsBelongToTheirHosts",
	},
	{
		what: "a reply without what its call asks for counts as success",
		file: "plugins/internal/remote/reply.go",
		old:  "		return r.GetKvPage() != nil\n", new: "		return true\n",
		pkg: "./plugins/internal/remote", run: "TestEveryCallNeedsItsReply",
	},
	{
		what: "the owner of a folder above a plugin folder is not checked",
		file: "plugins/owner_unix.go",
		old:  "	if err := checkOwner(path, info); err != nil {\n		return err\n	}\n	if info.IsDir()", new: "	if info.IsDir()",
		pkg: "./plugins", run: "TestVerify",
	},
	{
		what: "the owner of a symbolic link to a plugin is not checked",
		file: "plugins/owner_unix.go",
		old:  "		if err := checkOwner(next, info); err != nil {\n			return \"\", err\n		}\n", new: "",
		pkg: "./plugins", run: "TestVerify",
	},
	{
		what: "a folder that has replaced the verified one gets its program run",
		file: "plugins/internal/process/platform_linux.go",
		old:  "	cmd.Path, cmd.ExtraFiles = extraFile, []*os.File{f}\n", new: "	cmd.ExtraFiles = []*os.File{f}\n",
		pkg: "./plugins", run: "TestWhatWasVerifiedIsRun",
	},
	{
		what: "a sidecar over TCP starts without a URL on a loopback address",
		file: "plugins/listen.go",
		old:  "	case a.url == \"\": //", new: "	case a.url == \"\" && given > 0: //",
		pkg: "./plugins", run: "TestArguments",
	},
	{
		what: "a host sends its URL to any process that listens on the socket",
		file: "plugins/sidecar.go",
		old:  "	err = wire.SameUser(conn.(*net.UnixConn))\n", new: "	_ = wire.SameUser(conn.(*net.UnixConn))\n",
		pkg: "./plugins", run: "TestStrangersSidecar",
	},
	{
		what: "a sidecar serves processes of other users on its frame socket",
		file: "plugins/internal/service/frames.go",
		old:  "	if err := wire.SameUser(conn); err != nil {\n", new: "	if err := error(nil); err != nil {\n",
		pkg: "./plugins", run: "TestStrangersAreRefused",
	},
}
