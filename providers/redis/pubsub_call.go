package redis

import (
	"context"

	goredis "github.com/redis/go-redis/v9"

	"fairlead.dev"
)

// run runs a script and returns its reply. A write that must not be taken for
// undone has its mark among args, and here as m; m may be nil.
func (p *provider) run(ctx context.Context, m *mark, s *script, keys []string, args ...any) (any, error) {
	return p.answer(ctx, m, keys[0], s.call(ctx, keys, args...))
}

// command runs a command of Redis that may be repeated without harm.
func (p *provider) command(ctx context.Context, key string, args ...any) (any, error) {
	return p.answer(ctx, nil, key, goredis.NewCmd(ctx, args...))
}

func (p *provider) answer(ctx context.Context, m *mark, key string, cmd *goredis.Cmd) (any, error) {
	if err := m.outcome(p.do(ctx, key, cmd)); err != nil {
		return nil, err
	}
	reply, err := cmd.Result()
	if err != nil {
		return nil, mapCallErr(ctx, err, m != nil && m.sent())
	}
	return reply, nil
}

// The replies of our own scripts have the shape that they have: what is not of
// the type looked for reads as nothing.

func list(v any) []any { l, _ := v.([]any); return l }

func text(v any) string { s, _ := v.(string); return s }

func number(v any) int64 { n, _ := v.(int64); return n }

// at returns the i-th element of a reply, or nil.
func at(l []any, i int) any {
	if i < len(l) {
		return l[i]
	}
	return nil
}

// unexpectedReply is the error for a reply that the scripts do not give.
func unexpectedReply(reply any) error {
	return fairlead.Errorf(fairlead.Internal, "unexpected reply of a script: %.200v", reply)
}
