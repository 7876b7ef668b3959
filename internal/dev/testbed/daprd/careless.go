package main

import (
	"context"

	"github.com/dapr/components-contrib/state"
	statememory "github.com/dapr/components-contrib/state/in-memory"
	"github.com/dapr/kit/logger"
)

// careless is a state component that promises etags and first-write concurrency
// and looks at neither, as some do.
type careless struct{ state.Store }

func newCareless(log logger.Logger) state.Store {
	return careless{statememory.NewInMemoryStateStore(log)}
}

func (c careless) Set(ctx context.Context, req *state.SetRequest) error {
	blind := *req
	blind.ETag, blind.Options.Concurrency = nil, ""
	return c.Store.Set(ctx, &blind)
}
