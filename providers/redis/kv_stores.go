package redis

import (
	"context"

	goredis "github.com/redis/go-redis/v9"
)

// storeNamesKey is the key of the set of the names of all stores.
func (p *provider) storeNamesKey() string { return p.prefix + ":kv-stores" }

// Stores implements the kv driver's Provider.
func (p *provider) Stores(ctx context.Context, prefix string) ([]string, error) {
	return p.namesWithPrefix(ctx, p.storeNamesKey(), prefix)
}

// deletedPerCall is how many keys one call deletes, so that the server serves
// other clients between the calls.
const deletedPerCall = 1000

// DeleteStore implements the kv driver's Provider. The name is removed last:
// after a failure, the store is still listed and can be deleted again.
func (p *provider) DeleteStore(ctx context.Context, name string) error {
	keys := p.storeKeys(name)
	for gone := false; !gone; {
		m := p.newMark()
		reply, err := p.write(ctx, m, keys.log, kvDelete.command(ctx, keys.logKeys(), keys.valuePrefix, deletedPerCall, m))
		if err != nil {
			return err
		}
		n, ok := reply.(int64)
		if !ok {
			return unexpectedReply(reply)
		}
		gone = n == 1
	}
	m := &mark{text: name}
	_, err := p.write(ctx, m, p.storeNamesKey(), goredis.NewCmd(ctx, "srem", p.storeNamesKey(), m))
	return err
}
