package etcd_test

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"fairlead.dev/internal/dev/check"
	"fairlead.dev/internal/dev/contest"
	"fairlead.dev/internal/dev/testbed"
	"fairlead.dev/kv"
)

// slice is how long one side runs before it is the other side's turn.
const slice = 100 * time.Millisecond

// inTurns compares the rates of two functions, which run in turns. In its turn,
// each caller calls its function without waiting for the other callers.
func inTurns(b *testing.B, callers int, ours, theirs func(caller int) error) {
	b.Helper()
	rate := func(f func(int) error) func() float64 {
		return func() float64 {
			var calls atomic.Int64
			var group sync.WaitGroup
			start := time.Now()
			for i := range callers {
				group.Go(func() {
					for time.Since(start) < slice {
						if err := f(i); err != nil {
							b.Error(err)
							return
						}
						calls.Add(1)
					}
				})
			}
			group.Wait()
			return float64(calls.Load()) / time.Since(start).Seconds()
		}
	}
	contest.Rates(b, "clientv3", rate(ours), rate(theirs))
}

// BenchmarkKVAgainstClientV3 compares package kv over this provider with etcd's
// own client, on one server.
func BenchmarkKVAgainstClientV3(b *testing.B) {
	server := testbed.Etcd(b)
	raw, err := server.Client()
	check.NoError(b, err)
	b.Cleanup(func() { _ = raw.Close() })
	ctx, cancel := context.WithCancel(b.Context()) // as a server's handler does
	defer cancel()
	s, err := kv.Open(ctx, open(b, server.URL()), "bench")
	check.NoError(b, err)
	b.Cleanup(func() { _ = s.Close(context.Background()) })

	value := make([]byte, 256)
	keys := make([]string, 64)
	for i := range keys {
		keys[i] = fmt.Sprint("k", i)
		_, err := s.Put(ctx, keys[i], value)
		check.NoError(b, err)
		_, err = raw.Put(ctx, keys[i], string(value))
		check.NoError(b, err)
	}
	text := string(value)
	get := func(i int) error { _, err := s.Get(ctx, keys[i]); return err }
	put := func(i int) error { _, err := s.Put(ctx, keys[i], value); return err }
	cas := func(i int) error {
		e, err := s.Get(ctx, keys[i])
		if err == nil {
			_, err = s.CAS(ctx, keys[i], value, e.Revision)
		}
		return err
	}
	rawGet := func(i int) error { _, err := raw.Get(ctx, keys[i]); return err }
	rawPut := func(i int) error { _, err := raw.Put(ctx, keys[i], text); return err }
	rawCAS := func(i int) error {
		r, err := raw.Get(ctx, keys[i])
		if err == nil {
			_, err = raw.Txn(ctx).If(clientv3.Compare(clientv3.ModRevision(keys[i]), "=", r.Kvs[0].ModRevision)).Then(clientv3.OpPut(keys[i], text)).Commit()
		}
		return err
	}
	for _, callers := range []int{1, 64} {
		b.Run(fmt.Sprintf("get/%d", callers), func(b *testing.B) { inTurns(b, callers, get, rawGet) })
		b.Run(fmt.Sprintf("put/%d", callers), func(b *testing.B) { inTurns(b, callers, put, rawPut) })
		b.Run(fmt.Sprintf("get and cas/%d", callers), func(b *testing.B) { inTurns(b, callers, cas, rawCAS) })
	}
}
