package redis

import (
	"context"
	"crypto/sha1"
	"encoding/hex"

	goredis "github.com/redis/go-redis/v9"
)

// script is a Lua script. Commands name it by its digest. A server that does
// not know the digest yet is sent the text: see rejectedCommands.
type script struct{ src, sha string }

var scripts = map[string]*script{} // by digest; filled by package initialisation

// allowFull is the first line of the scripts that work on a server that has
// reached maxmemory: they end something, or take a message that is then
// acknowledged, and so free memory. Without it, Redis refuses the first command
// of a script that may need memory, unless the script has written before: other
// scripts that free memory begin with a command that needs none. With it, a server
// that accepts no writes refuses the script even if it would not write.
const allowFull = "#!lua flags=allow-oom\n"

func newScript(src string) *script {
	sum := sha1.Sum([]byte(src))
	s := &script{src: src, sha: hex.EncodeToString(sum[:])}
	scripts[s.sha] = s
	return s
}

// command returns the command that runs the script. All keys must be in one
// hash slot.
func (s *script) command(ctx context.Context, keys []string, args ...any) *goredis.Cmd {
	all := make([]any, 0, 3+len(keys)+len(args))
	all = append(all, "evalsha", s.sha, len(keys))
	for _, k := range keys {
		all = append(all, k)
	}
	return goredis.NewCmd(ctx, append(all, args...)...)
}

// unknownScript returns the script of a command if the server replied that it
// does not know the script. The server has then executed nothing.
func unknownScript(cmd goredis.Cmder) (*script, bool) {
	if cmd.Err() == nil || !goredis.HasErrorPrefix(cmd.Err(), "NOSCRIPT") {
		return nil, false
	}
	args := cmd.Args()
	if len(args) < 2 {
		return nil, false
	}
	sha, _ := args[1].(string)
	s, ok := scripts[sha]
	return s, ok
}
