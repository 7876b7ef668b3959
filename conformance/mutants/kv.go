package mutants

import (
	"context"

	"fairlead.dev/conformance"
	"fairlead.dev/kv/driver"
	"fairlead.dev/providers"
	_ "fairlead.dev/providers/memory" // which every mutant wraps
	psdriver "fairlead.dev/pubsub/driver"
	rpcdriver "fairlead.dev/rpc/driver"
)

// whole is what the memory provider implements.
type whole interface {
	driver.Provider
	psdriver.Provider
	rpcdriver.Provider
}

// kvProvider is a memory provider whose stores are wrapped.
type kvProvider struct {
	whole
	wrap func(driver.Store) driver.Store
}

func (p kvProvider) OpenStore(ctx context.Context, c driver.StoreConfig) (driver.Store, error) {
	s, err := p.whole.OpenStore(ctx, c)
	if err != nil {
		return nil, err
	}
	return p.wrap(s), nil
}

// withStore opens a memory provider whose stores are wrapped.
func withStore(wrap func(driver.Store) driver.Store) conformance.Opener {
	return func(ctx context.Context) (providers.Provider, error) {
		p, err := providers.Open(ctx, "mem://")
		if err != nil {
			return nil, err
		}
		return kvProvider{p.(whole), wrap}, nil
	}
}

// store is a store whose operations can be changed on their way in and out:
// either function may be nil.
type store struct {
	driver.Store
	in  func(*driver.Op)
	out func(driver.Op, *driver.Result)
}

func (s store) Do(ctx context.Context, ops []driver.Op) []driver.Result {
	changed := append([]driver.Op(nil), ops...)
	for i := range changed {
		if s.in != nil {
			s.in(&changed[i])
		}
	}
	results := s.Store.Do(ctx, changed)
	for i := range results {
		if s.out != nil {
			s.out(ops[i], &results[i])
		}
	}
	return results
}

func init() { all = append(all, kvMutants) }

var kvMutants = []Mutant{
	{
		Name: "kv-value-truncated", Breaks: "a value is stored to its first zero byte alone",
		Caught: []string{"kv/put-get"},
		Open: withStore(func(s driver.Store) driver.Store {
			return store{Store: s, in: func(op *driver.Op) {
				for i, b := range op.Value {
					if b == 0 {
						op.Value = op.Value[:i]
						return
					}
				}
			}}
		}),
	},
}
