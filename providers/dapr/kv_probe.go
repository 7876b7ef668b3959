package dapr

import (
	"bytes"
	"context"
	"encoding/hex"
	"fmt"
	"sync"
	"sync/atomic"

	runtimev1 "github.com/dapr/dapr/pkg/proto/runtime/v1"

	"fairlead.dev"
)

// rivals is how many writers compete when a component is tried.
const rivals = 8

// stateDefect tries the state component on a key of its own, and returns what
// is wrong with it, or "". The key is gone afterwards.
func (p *provider) stateDefect(ctx context.Context, component string) (defect string, err error) {
	n := newName()
	c := &cell{p: p, name: component, key: p.config.prefix + "/probe/" + hex.EncodeToString(n[:])}
	defect, err = c.defect(ctx)
	if err == nil {
		err = c.read(ctx)
	}
	if err == nil && c.etag != "" {
		err = c.remove(ctx)
	}
	return defect, err
}

// defect tries what the provider builds on: bytes come back as they were, a
// write without an etag makes a key and does not overwrite one, and of writes
// with the etag of one state one is made.
func (c *cell) defect(ctx context.Context) (string, error) {
	bare := *c
	first := &record{writes: 1, names: []name{newName()}, value: allBytes()}
	if err := c.write(ctx, first.encode()); err != nil {
		return "", unsure(err)
	}
	if err := c.read(ctx); err != nil {
		return "", err
	}
	if !bytes.Equal(c.data, first.encode()) || c.etag == "" {
		return fmt.Sprintf("a value of %d bytes came back as one of %d, with the etag %q", len(first.encode()), len(c.data), c.etag), nil
	}
	if made, err := bare.race(ctx); err != nil || made > 0 {
		return "first-write concurrency without an etag overwrites a key", err
	}
	stale := *c
	if made, err := c.race(ctx); err != nil || made != 1 {
		return fmt.Sprintf("of %d writers with one etag, %d wrote", rivals, made), err
	}
	if made, err := stale.race(ctx); err != nil || made > 0 {
		return "a write with an etag that was overwritten is made", err
	}
	return "", nil
}

// race writes from several writers at once, and counts those that the component
// says have written and those whose write is there.
func (c *cell) race(ctx context.Context) (made int, err error) {
	var mu sync.Mutex
	var wg sync.WaitGroup
	var said atomic.Int64
	values := map[string]bool{}
	for range rivals {
		wg.Go(func() {
			r := &record{writes: 1, names: []name{newName()}}
			failure := c.write(ctx, r.encode())
			mu.Lock()
			defer mu.Unlock()
			if values[string(r.encode())] = true; failure == nil {
				said.Add(1)
			}
		})
	}
	wg.Wait()
	if err := c.read(ctx); err != nil {
		return 0, err
	}
	if made = int(said.Load()); made == 0 && values[string(c.data)] {
		made = 1
	}
	return made, nil
}

// remove deletes the key for good.
func (c *cell) remove(ctx context.Context) error {
	return unsure(c.p.change(ctx, func(ctx context.Context) error {
		_, err := c.p.client.DeleteState(ctx, &runtimev1.DeleteStateRequest{StoreName: c.name, Key: c.key})
		return err
	}))
}

// unsure is for a write that nobody but the provider waits for.
func unsure(err error) error {
	if fairlead.CodeOf(err) == fairlead.UnknownOutcome {
		return fairlead.Errorf(fairlead.Unavailable, "trying the state component: %w", err)
	}
	return err
}

func allBytes() []byte {
	all := make([]byte, 256)
	for i := range all {
		all[i] = byte(i)
	}
	return all
}
