package redis

import (
	"context"
	_ "embed"
	"slices"
	"strings"
	"sync"

	goredis "github.com/redis/go-redis/v9"

	"fairlead.dev"
)

// facetCommands are the commands that scripts of a facet or the provider send, each
// with arguments that the server accepts; $ is a key. docs/providers/redis.md lists
// them, too, and a test compares the lists.
var facetCommands = map[fairlead.Facet]string{
	"": `info; exists $; time; xadd $ * f v; xread streams $ 0; xrevrange $ + -; zadd $ 0 m; zrem $ m;
		zrangebyscore $ 0 0; pexpire $ 1`,
	fairlead.KV: `get $; mget $; set $ v; getrange $ 0 0; unlink $; xrange $ - +; xinfo|stream $; zscore $ m;
		zrange $ 0 0; zrangebylex $ - +; zremrangebyscore $ 0 0; sadd $ m; sismember $ m; srem $ m; smembers $; strlen $`,
	fairlead.PubSub: `del $; unlink $; rename $ $; pttl $; hget $ f; hgetall $; hset $ f v; hdel $ f; hexists $ f; hlen $;
		lindex $ 0; lpop $; lrem $ 0 m; rpush $ v; sadd $ m; sismember $ m; srem $ m; smembers $; xack $ g 1-1; xclaim $ g c 0 1-1;
		xgroup|create $ g 0; xgroup|delconsumer $ g c; xgroup|destroy $ g; xinfo|consumers $ g; xinfo|groups $;
		xinfo|stream $; xpending $ g; xrange $ - +; xreadgroup group g c streams $ >; xsetid $ 1-1; xtrim $ maxlen 0;
		zcard $; zmscore $ m; zrange $ 0 0; zscan $ 0`,
	fairlead.RPC: `pttl $; zremrangebyscore $ 0 0`,
}

//go:embed permissions.lua
var permissionsLua string

var permissionsScript = newScript(permissionsLua)

// permissions remembers the facets whose permissions were checked.
type permissions struct {
	mu      sync.Mutex
	checked map[fairlead.Facet]bool
}

// checkPermissions returns which commands of a facet the user may not run, all in
// one error, before a script fails in the middle because of one of them. It asks
// once, with a key of the facet, which need not exist.
func (p *provider) checkPermissions(ctx context.Context, f fairlead.Facet, key string) error {
	p.permissions.mu.Lock()
	checked := p.permissions.checked[f]
	p.permissions.mu.Unlock()
	if checked {
		return nil
	}
	cmd := permissionsCommand(ctx, f, key)
	if err := p.execute(ctx, p.defaultRoute(), key, cmd); err != nil {
		return err
	}
	if err := cmd.Err(); err != nil {
		if isDenial(err) || !isErrorReply(err) {
			return mapCallErr(ctx, err, false)
		}
		return nil // this server cannot tell
	}
	if denied := deniedCommands(cmd); len(denied) > 0 {
		return mapErr(p.denial("NOPERM the server would deny commands of this facet", denied), false)
	}
	p.permissions.mu.Lock()
	defer p.permissions.mu.Unlock()
	p.permissions.checked[f] = true
	return nil
}

// permissionsCommand returns the command that finds out what the user may not run.
// It changes nothing.
func permissionsCommand(ctx context.Context, f fairlead.Facet, key string) *goredis.Cmd {
	var lines []any
	for _, facet := range []fairlead.Facet{"", f} {
		for line := range strings.SplitSeq(facetCommands[facet], ";") {
			lines = append(lines, strings.Join(strings.Fields(line), " "))
		}
	}
	return permissionsScript.command(ctx, []string{key + ":permissions"}, lines...)
}

func deniedCommands(cmd *goredis.Cmd) (denied []string) {
	for _, name := range asList(cmd.Val()) {
		denied = append(denied, "+"+asText(name))
	}
	slices.Sort(denied)
	return slices.Compact(denied)
}

// facetOf returns the facet that a key belongs to.
func (p *provider) facetOf(key string) fairlead.Facet {
	for base, f := range map[string]fairlead.Facet{":kv": fairlead.KV, ":ps:": fairlead.PubSub, ":rpc:": fairlead.RPC} {
		if strings.HasPrefix(key, p.prefix+base) {
			return f
		}
	}
	return ""
}

// explainDenials adds all commands that the user may not run to the errors of
// commands of which the server has denied one.
func (p *provider) explainDenials(ctx context.Context, r route, key string, cmds []goredis.Cmder) {
	if !slices.ContainsFunc(cmds, func(c goredis.Cmder) bool { return isDenial(c.Err()) }) {
		return
	}
	probe := permissionsCommand(ctx, p.facetOf(key), key)
	if err := r.sendUntilServed(ctx, key, []goredis.Cmder{probe}); err != nil {
		return
	}
	denied := deniedCommands(probe)
	for _, c := range cmds {
		if err := c.Err(); isDenial(err) && len(denied) > 0 {
			c.SetErr(p.denial(err.Error(), denied))
		}
	}
}

// isDenial reports whether the server has denied a command, or, in Redis 7.0, a
// command of a script.
func isDenial(err error) bool {
	return err != nil && (goredis.HasErrorPrefix(err, "NOPERM") ||
		isErrorReply(err) && strings.Contains(err.Error(), "can't run this command"))
}

// mapDenial returns a denial as an error with a code. A script that was denied a
// command may have written before.
func mapDenial(err error, sent bool) error {
	code := fairlead.PermissionDenied
	if sent && strings.Contains(err.Error(), " script: ") {
		code = fairlead.UnknownOutcome
	}
	return fairlead.Errorf(code, "the user's ACL does not allow what this provider needs: %w", err)
}

// denial is an error reply about missing permissions.
type denial string

// RedisError implements [goredis.Error].
func (denial) RedisError() {}

func (d denial) Error() string { return string(d) }

func (p *provider) denial(reply string, denied []string) denial {
	user := p.config.user
	if user == "" {
		user = "default"
	}
	missing := strings.Join(denied, " ")
	return denial(reply + ": the user lacks " + missing + "; run redis-cli ACL SETUSER " + user + " " + missing)
}
