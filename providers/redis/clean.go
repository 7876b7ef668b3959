package redis

import (
	"context"
	"maps"
	"slices"
	"strings"
	"sync"

	goredis "github.com/redis/go-redis/v9"

	"fairlead.dev"
	"fairlead.dev/providers"
)

var _ providers.Cleaner = (*provider)(nil)

// keysPerScan is how many keys the server looks at in one call.
const keysPerScan = 1000

// Clean implements [providers.Cleaner]. It looks at all keys of the database: the
// leases and the changes of a service, the fence of a store that was deleted, and what
// is left of a topic whose stream another program deleted, are in no list of names.
func (p *provider) Clean(ctx context.Context, prefix string) ([]string, error) {
	removed := map[string]bool{}
	err := p.cleanTopicNames(ctx, prefix, removed)
	if err == nil {
		err = p.cleanKeys(ctx, prefix, removed)
	}
	return slices.Sorted(maps.Keys(removed)), err
}

// cleanTopicNames removes the names of topics that do not exist any more from the set
// of names: a topic whose stream another program deleted is not listed.
func (p *provider) cleanTopicNames(ctx context.Context, prefix string, removed map[string]bool) error {
	topics, err := p.namesWithPrefix(ctx, p.topicNamesKey(), prefix)
	if err != nil {
		return err
	}
	for _, topic := range topics {
		if err := p.DeleteTopic(ctx, topic); err != nil {
			return err
		}
		removed[string(fairlead.PubSub)+" "+topic] = true
	}
	return nil
}

func (p *provider) cleanKeys(ctx context.Context, prefix string, removed map[string]bool) error {
	keys, err := p.keysOfNames(ctx, prefix)
	if err != nil {
		return err
	}
	for key, name := range keys {
		if _, err := p.query(ctx, key, goredis.NewCmd(ctx, "unlink", key)); err != nil {
			return err
		}
		removed[name] = true
	}
	return nil
}

// keysOfNames returns the keys of all stores, topics and services whose names start
// with prefix, each with its facet and name.
func (p *provider) keysOfNames(ctx context.Context, prefix string) (map[string]string, error) {
	var mu sync.Mutex
	found := map[string]string{}
	scan := func(ctx context.Context, node *goredis.Client) error {
		keys := node.Scan(ctx, 0, escapePattern(p.prefix)+":*{"+escapePattern(prefix)+"*", keysPerScan).Iterator()
		for keys.Next(ctx) {
			if name, ok := p.nameOfKey(keys.Val(), prefix); ok {
				mu.Lock()
				found[keys.Val()] = name
				mu.Unlock()
			}
		}
		return keys.Err()
	}
	err := runUnlessEnded(ctx, func() error { return mapCallErr(ctx, onPrimaries(ctx, p.client, scan), false) })
	return found, err
}

// nameOfKey returns the facet and the name that a key belongs to. ok is false if the
// name does not start with prefix: a value's key may contain anything.
func (p *provider) nameOfKey(key, prefix string) (name string, ok bool) {
	for base, f := range map[string]fairlead.Facet{":kv:{": fairlead.KV, ":ps:{": fairlead.PubSub, ":rpc:{": fairlead.RPC} {
		if rest, ok := strings.CutPrefix(key, p.prefix+base); ok && strings.HasPrefix(rest, prefix) {
			name, _, ok := strings.Cut(rest, "}")
			return string(f) + " " + name, ok
		}
	}
	return "", false
}

// escapePattern returns a pattern of SCAN that matches text only.
func escapePattern(text string) string {
	return strings.NewReplacer(`\`, `\\`, "*", `\*`, "?", `\?`, "[", `\[`, "]", `\]`).Replace(text)
}
