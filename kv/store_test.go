package kv_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"fairlead.dev"
	"fairlead.dev/kv"
	_ "fairlead.dev/providers/memory"
)

func Example() {
	ctx := context.Background()
	p, err := fairlead.Open(ctx, "mem://")
	if err != nil {
		panic(err)
	}
	defer p.Close(ctx)
	users, err := kv.Open(ctx, p, "users", kv.Require(kv.CAS, kv.Watch))
	if err != nil {
		panic(err)
	}
	rev, _ := users.Put(ctx, "ann", []byte("1"))
	_, err = users.CAS(ctx, "ann", []byte("2"), rev)
	fmt.Println(err)
	_, err = users.CAS(ctx, "ann", []byte("3"), rev)
	fmt.Println(errors.Is(err, kv.ErrConflict), err)
	// Output:
	// <nil>
	// true kv.CAS: memory: conflict: store "users": key "ann" has another revision
}

func open(t testing.TB) *kv.Store {
	t.Helper()
	ctx := context.Background()
	p, err := fairlead.Open(ctx, "mem://")
	if err != nil {
		t.Fatal(err)
	}
	s, err := kv.Open(ctx, p, "s")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := errors.Join(s.Close(ctx), p.Close(ctx)); err != nil {
			t.Error(err)
		}
	})
	return s
}

func TestWatchThroughExpiry(t *testing.T) {
	s, ctx := open(t), context.Background()
	w, err := s.Watch(ctx, "a")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Put(ctx, "a1", []byte("x"), kv.WithTTL(30*time.Millisecond)); err != nil {
		t.Fatal(err)
	}
	var kinds []any
	for e, err := range w.All(ctx) {
		if err != nil {
			t.Fatal(err)
		}
		if kinds = append(kinds, e.Kind); e.Kind == kv.ExpireEvent {
			break
		}
	}
	if fmt.Sprint(kinds) != "[put expire]" {
		t.Errorf("kinds %v", kinds)
	}
}

func TestOneOf32CreatesWins(t *testing.T) {
	s, ctx := open(t), context.Background()
	var wg sync.WaitGroup
	var won sync.Map
	for i := range 32 {
		wg.Go(func() {
			if _, err := s.Create(ctx, "k", nil); err == nil {
				won.Store(i, true)
			}
		})
	}
	wg.Wait()
	n := 0
	won.Range(func(any, any) bool { n++; return true })
	if n != 1 {
		t.Errorf("%d creates won", n)
	}
}
