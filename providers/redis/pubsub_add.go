package redis

import (
	"context"
	"errors"

	goredis "github.com/redis/go-redis/v9"

	"fairlead.dev/pubsub/driver"
)

// plain reports whether messages can be stored without a look at their ids:
// then plain commands do, which cost the server a third less than the script.
func (t *publisher) plain(msgs []driver.Message, live []int) bool {
	if len(live) > 1 && !t.transactions {
		return false
	}
	if t.p.config.pubsub.window == 0 {
		return true
	}
	for _, i := range live {
		if msgs[i].ID != "" {
			return false
		}
	}
	return true
}

// add stores messages with XADD, several in one transaction. It is not settled
// if the server refused a transaction and stored nothing: the script then finds
// out why.
func (t *publisher) add(ctx context.Context, msgs []driver.Message, live []int) (positions []any, settled bool, err error) {
	if len(live) > 1 {
		return t.addAll(ctx, msgs, live)
	}
	positions, err = t.addOne(ctx, msgs[live[0]])
	return positions, true, err
}

func (t *publisher) addOne(ctx context.Context, msg driver.Message) ([]any, error) {
	m := &mark{name: noTopic}
	position, err := t.p.answer(ctx, m, t.keys.stream, goredis.NewCmd(ctx, t.xadd(m, msg)...))
	switch {
	case errors.Is(err, goredis.Nil):
		return nil, nil
	case err != nil:
		return nil, err
	}
	return []any{position}, nil
}

func (t *publisher) addAll(ctx context.Context, msgs []driver.Message, live []int) (positions []any, settled bool, err error) {
	m := &mark{name: noTopic}
	cmds := make([]goredis.Cmder, 0, 2+len(live))
	cmds = append(cmds, goredis.NewStatusCmd(ctx, "multi"))
	for _, i := range live {
		cmds = append(cmds, goredis.NewStatusCmd(ctx, t.xadd(m, msgs[i])...))
	}
	exec := goredis.NewSliceCmd(ctx, "exec")
	err = m.outcome(t.p.once(ctx, t.keys.stream, append(cmds, exec)...))
	switch {
	case err != nil:
		return nil, true, err
	case exec.Err() == nil:
		positions, err = stored(exec.Val())
		return positions, true, err
	case goredis.HasErrorPrefix(exec.Err(), "EXECABORT"):
		return nil, false, nil
	default:
		return nil, true, mapCallErr(ctx, exec.Err(), m.sent())
	}
}

// noTopic makes XADD store nothing if there is no topic. A mark has its place.
const noTopic = "nomkstream"

// xadd returns the arguments of the command that adds a message.
func (t *publisher) xadd(m *mark, msg driver.Message) []any {
	return appendFields(append(make([]any, 0, 12), "xadd", t.keys.stream, m, "*"), msg)
}

// stored returns what the commands of a transaction answered; nothing if there
// is no topic.
func stored(replies []any) ([]any, error) {
	for _, r := range replies {
		switch r := r.(type) {
		case nil:
			return nil, nil
		case error:
			return nil, mapErr(r, true)
		}
	}
	return replies, nil
}

// transactions reports whether the server that has key lets this user have
// transactions: an ACL may forbid them, and some proxies have none.
func (p *provider) transactions(ctx context.Context, key string) (bool, error) {
	multi, discard := goredis.NewStatusCmd(ctx, "multi"), goredis.NewStatusCmd(ctx, "discard")
	if err := p.once(ctx, key, multi, discard); err != nil {
		return false, err
	}
	if err := errors.Join(multi.Err(), discard.Err()); err != nil && !isAnswer(err) {
		return false, mapCallErr(ctx, err, false)
	}
	return multi.Err() == nil && discard.Err() == nil, nil
}
