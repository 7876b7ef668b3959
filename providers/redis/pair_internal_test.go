package redis

import (
	"math/rand/v2"
	"testing"

	goredis "github.com/redis/go-redis/v9"

	"fairlead.dev/internal/dev/check"
	"fairlead.dev/internal/dev/testbed"
)

// randomText returns a text of few bytes, some of which mean something to a
// decoder.
func randomText(rng *rand.Rand) string {
	const bytes = "kbim019-.! :/\x00\n\xff"
	b := make([]byte, rng.IntN(6))
	for i := range b {
		b[i] = bytes[rng.IntN(len(bytes))]
	}
	return string(b)
}

// The scripts and Go read each format alike: the ordering key of an entry, the
// members of a group's leases, and the head of a value.
func TestScriptsReadLikeGo(t *testing.T) {
	c := testbed.RedisClient(t, testbed.Redis(t))
	rng := rand.New(rand.NewPCG(1, 2))
	pipe := c.Pipeline()
	var compare []func()
	for range 2000 {
		fields := make([]any, 2*(1+rng.IntN(3)))
		for i := range fields {
			fields[i] = randomText(rng)
			if i%2 == 0 && rng.IntN(3) == 0 {
				fields[i] = keyField // possibly several
			}
		}
		key := pipe.Eval(t.Context(), pubsubCommonLua+"return key_of(ARGV)", nil, fields...)
		compare = append(compare, func() {
			if want := orderingKey(fields); key.Val() != want {
				t.Errorf("%q: the script reads the key %q, Go reads %q", fields, key.Val(), want)
			}
		})

		tok := token{id: "1-1", lease: "7", key: randomText(rng)}
		member := pipe.Eval(t.Context(), pubsubCommonLua+"return { parse_member(ARGV[1]) }", nil, tok.member("owner"))
		compare = append(compare, func() {
			got, err := member.StringSlice()
			if err != nil || len(got) != 4 || got[0] != tok.id || got[1] != tok.lease || got[2] != "owner" || got[3] != tok.key {
				t.Errorf("%+v: the script reads %q, %v", tok, got, err)
			}
		})

		kept := "1" + randomText(rng) + randomText(rng)
		pipe.Set(t.Context(), "kept", kept, 0)
		head := pipe.Eval(t.Context(), kvCommonLua+`
			local revision, flag = readHead(KEYS[1], 'k')
			return { flag == '?' and '' or revision, flag }`, []string{"kept"})
		compare = append(compare, func() {
			got, err := head.StringSlice()
			_, revision, parseErr := parseKept(kept)
			if err != nil || len(got) != 2 || got[0] != string(revision) || (got[1] == "?") != (parseErr != nil) {
				t.Errorf("%q: the script reads %q, %v; Go reads %q, %v", kept, got, err, revision, parseErr)
			}
		})
	}
	_, err := pipe.Exec(t.Context())
	if err != goredis.Nil {
		check.NoError(t, err)
	}
	for _, f := range compare {
		f()
	}
}
