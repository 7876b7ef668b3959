package redis

import (
	"context"
	"errors"

	goredis "github.com/redis/go-redis/v9"

	"fairlead.dev"
	"fairlead.dev/pubsub/driver"
)

// maxStoreAttempts bounds how often a topic that is deleted during a call is
// created again.
const maxStoreAttempts = 3

// storeMessages stores the messages with the numbers in live, all or none, and
// returns their positions. If the topic was deleted in the meantime, nothing
// was stored, and it creates the topic again.
func (t *publisher) storeMessages(ctx context.Context, msgs []driver.Message, live []int) (positions []any, err error) {
	if err := checkTotalSize(msgs, live); err != nil {
		return nil, err
	}
	for range maxStoreAttempts {
		switch { // each returns no positions if there is no topic
		case t.needsScript(msgs, live):
			positions, err = t.storeByScript(ctx, msgs, live)
		case len(live) == 1:
			positions, err = t.storeOne(ctx, msgs[live[0]])
		default:
			positions, err = t.storeInTransaction(ctx, msgs, live)
		}
		if err != nil || positions != nil {
			return positions, err
		}
		if err := t.p.createTopic(ctx, t.name); err != nil {
			return nil, err
		}
	}
	return nil, fairlead.Errorf(fairlead.Unavailable, "the topic was deleted %d times during the call", maxStoreAttempts)
}

func checkTotalSize(msgs []driver.Message, live []int) error {
	size := 0
	for _, i := range live {
		size += msgs[i].Size()
	}
	if size > maxSendBytes {
		return fairlead.Errorf(fairlead.TooLarge, "the messages of one call have %d bytes in total, the limit is %d; send fewer per call", size, maxSendBytes)
	}
	return nil
}

// needsScript is false where XADD does, which costs the server a third less: if no
// IDs must be checked, and several messages can be one transaction.
func (t *publisher) needsScript(msgs []driver.Message, live []int) bool {
	if len(live) > 1 && !t.transactions {
		return true
	}
	return t.p.config.pubsub.window > 0 && anyHasID(msgs, live)
}

func anyHasID(msgs []driver.Message, live []int) bool {
	for _, i := range live {
		if msgs[i].ID != "" {
			return true
		}
	}
	return false
}

// noTopicFlag makes XADD store nothing if there is no topic. The mark of the
// write is in its place.
const noTopicFlag = "nomkstream"

// storeOne stores one message with XADD.
func (t *publisher) storeOne(ctx context.Context, msg driver.Message) ([]any, error) {
	m := &mark{text: noTopicFlag}
	cmd := goredis.NewCmd(ctx, t.xaddArgs(m, msg)...)
	err := t.p.execute(ctx, t.p.defaultRoute(), t.keys.stream, cmd)
	if err == nil && isErrorReply(cmd.Err()) {
		return nil, mapErr(cmd.Err(), false) // a command that is refused stores nothing
	}
	switch err := commandError(ctx, m, cmd, err); {
	case err == goredis.Nil:
		return nil, nil
	case err != nil:
		return nil, err
	}
	return []any{cmd.Val()}, nil
}

// xaddArgs returns the arguments of the XADD of a message.
func (t *publisher) xaddArgs(m *mark, msg driver.Message) []any {
	return appendFields(append(make([]any, 0, 12), "xadd", t.keys.stream, m, "*"), msg)
}

// storeInTransaction stores several messages with XADD. If the server refuses
// the transaction and has stored nothing, the script finds out the reason.
func (t *publisher) storeInTransaction(ctx context.Context, msgs []driver.Message, live []int) ([]any, error) {
	m := &mark{text: noTopicFlag}
	cmds := make([]goredis.Cmder, 0, 2+len(live))
	cmds = append(cmds, goredis.NewStatusCmd(ctx, "multi"))
	for _, i := range live {
		cmds = append(cmds, goredis.NewStatusCmd(ctx, t.xaddArgs(m, msgs[i])...))
	}
	exec := goredis.NewSliceCmd(ctx, "exec")
	err := t.p.execute(ctx, t.p.onceRoute(), t.keys.stream, append(cmds, exec)...)
	if err == nil && goredis.HasErrorPrefix(exec.Err(), "EXECABORT") {
		return t.storeByScript(ctx, msgs, live)
	}
	if err := commandError(ctx, m, exec, err); err != nil {
		return nil, err
	}
	return positionsOf(exec.Val())
}

// positionsOf returns the replies of the commands of a transaction, and none if
// there is no topic. A transaction in which a command fails is not undone.
func positionsOf(replies []any) ([]any, error) {
	var refusal error
	stored := 0
	for _, r := range replies {
		switch r := r.(type) {
		case nil:
			return nil, nil
		case error:
			refusal = r
		default:
			stored++
		}
	}
	switch {
	case refusal == nil:
		return replies, nil
	case stored == 0:
		return nil, mapErr(refusal, false)
	default:
		return nil, fairlead.Errorf(fairlead.UnknownOutcome, "the server stored %d of %d messages and refused the others: %w", stored, len(replies), refusal)
	}
}

// storeByScript stores messages with a script, which checks their IDs.
func (t *publisher) storeByScript(ctx context.Context, msgs []driver.Message, live []int) ([]any, error) {
	m := t.p.newMark()
	args := make([]any, 0, 2+6*len(live))
	args = append(args, m, milliseconds(t.p.config.pubsub.window))
	for _, i := range live {
		count := len(args) + 1
		args = appendFields(append(args, msgs[i].ID, 0), msgs[i])
		args[count] = len(args) - count - 1
	}
	reply, err := t.p.write(ctx, m, t.keys.stream,
		publishScript.command(ctx, []string{t.keys.stream, t.keys.ids, t.keys.older}, args...))
	if err != nil || asText(reply) == "gone" {
		return nil, err
	}
	if positions := asList(reply); len(positions) == len(live) {
		return positions, nil
	}
	return nil, unexpectedReply(reply)
}

// allowsTransactions reports whether the server that has key lets this user
// have transactions: an ACL may forbid them, and some proxies have none.
func (p *provider) allowsTransactions(ctx context.Context, key string) (bool, error) {
	multi, discard := goredis.NewStatusCmd(ctx, "multi"), goredis.NewStatusCmd(ctx, "discard")
	if err := p.execute(ctx, p.onceRoute(), key, multi, discard); err != nil {
		return false, err
	}
	if err := errors.Join(multi.Err(), discard.Err()); err != nil && !isErrorReply(err) {
		return false, mapCallErr(ctx, err, false)
	}
	return multi.Err() == nil && discard.Err() == nil, nil
}
