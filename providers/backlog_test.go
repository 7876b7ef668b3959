package providers_test

import (
	"context"
	"slices"
	"testing"
	"testing/synctest"

	"fairlead.dev"
	"fairlead.dev/internal/dev/check"
	"fairlead.dev/providers"
)

func TestBacklog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := providers.NewBacklog[int](providers.NewLifetime("listener"))
		for i := range 3 {
			if !b.Add(i) {
				t.Fatal("an open backlog refuses an item")
			}
		}
		if first, err := b.Take(t.Context()); first != 0 || err != nil {
			t.Errorf("the first item is %d, %v", first, err)
		}
		if b.Len() != 2 {
			t.Errorf("%d items wait, want 2", b.Len())
		}
		if left := b.End(); !slices.Equal(left, []int{1, 2}) {
			t.Errorf("%v were left", left)
		}
		if b.Add(3) || b.Len() != 0 {
			t.Error("an item was added after the end")
		}
		_, err := b.Take(t.Context())
		check.Code(t, err, fairlead.Closed)
	})
}

// TestBacklogWait waits for an item, for the end of the context, and for the end
// of the parent of the life.
func TestBacklogWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		provider := providers.NewLifetime("provider")
		b := providers.NewBacklog[string](provider.Child("listener"))
		items, errs := make(chan string), make(chan error)
		take := func(ctx context.Context) {
			item, err := b.Take(ctx)
			items <- item
			errs <- err
		}
		go take(t.Context())
		synctest.Wait()
		b.Add("call")
		if item, err := <-items, <-errs; item != "call" || err != nil {
			t.Errorf("%q, %v after a wait", item, err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		go take(ctx)
		synctest.Wait()
		cancel()
		<-items
		check.Code(t, <-errs, fairlead.Canceled)
		go take(t.Context())
		synctest.Wait()
		provider.End()
		<-items
		check.Code(t, <-errs, fairlead.Closed)
		if b.Add("late") {
			t.Error("an item was added after the end of the provider")
		}
	})
}
