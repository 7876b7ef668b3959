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

// racingWriters is how many writers compete when a component is checked.
const racingWriters = 8

// findStateDefect checks the state component on a key of its own, which it
// removes afterwards. It returns what is wrong, or "".
func (p *provider) findStateDefect(ctx context.Context, component string) (defect string, err error) {
	n := newWriteID()
	k := &stateKey{p: p, name: component, key: p.config.prefix + "/probe/" + hex.EncodeToString(n[:])}
	defect, err = k.findDefect(ctx)
	if err == nil {
		err = k.read(ctx)
	}
	if err == nil && k.etag != "" {
		err = k.remove(ctx)
	}
	return defect, err
}

// findDefect checks what the provider relies on: bytes come back unchanged; a
// write without an etag creates a key and does not overwrite one; of several
// writes with the etag of one state, one is made.
func (k *stateKey) findDefect(ctx context.Context) (string, error) {
	bare := *k
	first := &record{writes: 1, writeIDs: []writeID{newWriteID()}, value: allBytes()}
	if err := k.write(ctx, first.encode()); err != nil {
		return "", probeWriteError(err)
	}
	if err := k.read(ctx); err != nil {
		return "", err
	}
	if !bytes.Equal(k.data, first.encode()) || k.etag == "" {
		return fmt.Sprintf("a value of %d bytes came back as one of %d, with the etag %q", len(first.encode()), len(k.data), k.etag), nil
	}
	if made, err := bare.raceWriters(ctx); err != nil || made > 0 {
		return "first-write concurrency without an etag overwrites a key", err
	}
	stale := *k
	if made, err := k.raceWriters(ctx); err != nil || made != 1 {
		return fmt.Sprintf("of %d writers with one etag, %d wrote", racingWriters, made), err
	}
	if made, err := stale.raceWriters(ctx); err != nil || made > 0 {
		return "a write with an etag that was overwritten is made", err
	}
	return "", nil
}

// raceWriters writes from several writers at once. It returns how many writes
// the component has reported as made. If that is none, it returns 1 if the key
// holds the value of one of them.
func (k *stateKey) raceWriters(ctx context.Context) (made int, err error) {
	var mu sync.Mutex
	var wg sync.WaitGroup
	var said atomic.Int64
	values := map[string]bool{}
	for range racingWriters {
		wg.Go(func() {
			r := &record{writes: 1, writeIDs: []writeID{newWriteID()}}
			failure := k.write(ctx, r.encode())
			mu.Lock()
			defer mu.Unlock()
			if values[string(r.encode())] = true; failure == nil {
				said.Add(1)
			}
		})
	}
	wg.Wait()
	if err := k.read(ctx); err != nil {
		return 0, err
	}
	if made = int(said.Load()); made == 0 && values[string(k.data)] {
		made = 1
	}
	return made, nil
}

// remove deletes the key from the component.
func (k *stateKey) remove(ctx context.Context) error {
	return probeWriteError(k.p.calls.Write(ctx, func(ctx context.Context) error {
		_, err := k.p.client.DeleteState(ctx, &runtimev1.DeleteStateRequest{StoreName: k.name, Key: k.key})
		return err
	}))
}

// probeWriteError converts the unknown outcome of a write that only the provider
// itself uses.
func probeWriteError(err error) error {
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
