package redis

import (
	"context"
	_ "embed"
	"slices"
	"strings"

	goredis "github.com/redis/go-redis/v9"
)

//go:embed add_name.lua
var addNameLua string

var addNameScript = newScript(addNameLua)

// addName adds a name to the set of names under key. On a full server it
// succeeds if the name is there.
func (p *provider) addName(ctx context.Context, key, name string) error {
	_, err := p.query(ctx, key, addNameScript.command(ctx, []string{key}, name))
	return err
}

// namesWithPrefix returns the names with the prefix in the set under key.
func (p *provider) namesWithPrefix(ctx context.Context, key, prefix string) ([]string, error) {
	reply, err := p.query(ctx, key, goredis.NewCmd(ctx, "smembers", key))
	if err != nil {
		return nil, err
	}
	var names []string
	for _, v := range asList(reply) {
		names = append(names, asText(v))
	}
	return slices.DeleteFunc(names, func(name string) bool { return !strings.HasPrefix(name, prefix) }), nil
}
