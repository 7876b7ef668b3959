package redis

import (
	"context"
	"time"
)

// store is a handle of a store.
type store struct {
	p    *provider
	name string
}

func (s *store) sweep(ctx context.Context) (time.Duration, error) { return 0, ctx.Err() }
