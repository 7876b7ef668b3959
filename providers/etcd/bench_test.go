package etcd_test

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"fairlead.dev/internal/testbed"
	"fairlead.dev/kv"
)

// slice is how long one side runs before the other one has its turn.
const slice = 100 * time.Millisecond

// contest lets callers call ours and theirs in turns for the benchmark's time,
// and reports how many times as fast ours is: the median over pairs of
// neighbouring turns, so that what else the machine does hits both alike.
func contest(b *testing.B, callers int, ours, theirs func(caller int) error) {
	b.Helper()
	rate := func(f func(int) error) float64 {
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
	rate(ours)
	rate(theirs)
	var ratios, rates []float64
	for b.Loop() {
		var o, t float64
		if len(ratios)%2 == 0 { // neither side is always the first
			o, t = rate(ours), rate(theirs)
		} else {
			t, o = rate(theirs), rate(ours)
		}
		ratios, rates = append(ratios, o/t), append(rates, o)
	}
	slices.Sort(ratios)
	slices.Sort(rates)
	b.ReportMetric(ratios[len(ratios)/2], "x-clientv3")
	b.ReportMetric(rates[len(rates)/2], "calls/s")
	b.ReportMetric(0, "ns/op") // of a pair of turns: says nothing
}

// BenchmarkKVAgainstClientV3 compares package kv over this provider with etcd's
// own client, on one server.
func BenchmarkKVAgainstClientV3(b *testing.B) {
	server := testbed.Etcd(b)
	raw, err := server.Client()
	must(b, err)
	b.Cleanup(func() { _ = raw.Close() })
	ctx, cancel := context.WithCancel(b.Context()) // as in a server's handler
	defer cancel()
	s, err := kv.Open(ctx, open(b, server.URL()), "bench")
	must(b, err)
	b.Cleanup(func() { _ = s.Close(context.Background()) })

	value := make([]byte, 256)
	keys := make([]string, 64)
	for i := range keys {
		keys[i] = fmt.Sprint("k", i)
		_, err := s.Put(ctx, keys[i], value)
		must(b, err)
		_, err = raw.Put(ctx, keys[i], string(value))
		must(b, err)
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
		b.Run(fmt.Sprintf("get/%d", callers), func(b *testing.B) { contest(b, callers, get, rawGet) })
		b.Run(fmt.Sprintf("put/%d", callers), func(b *testing.B) { contest(b, callers, put, rawPut) })
		b.Run(fmt.Sprintf("get and cas/%d", callers), func(b *testing.B) { contest(b, callers, cas, rawCAS) })
	}
}
