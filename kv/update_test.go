package kv_test

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"sync"
	"testing"

	"fairlead.dev"
	"fairlead.dev/kv"
	"fairlead.dev/kv/driver"
)

// increment adds one to a number; a key that does not exist counts as 0.
func increment(e kv.Entry) ([]byte, error) {
	n := 0
	if e.Exists() {
		var err error
		if n, err = strconv.Atoi(string(e.Value)); err != nil {
			return nil, err
		}
	}
	return strconv.AppendInt(nil, int64(n+1), 10), nil
}

// TestUpdatesLoseNothing has 32 goroutines increment one key.
func TestUpdatesLoseNothing(t *testing.T) {
	for name, start := range tellingBackends {
		t.Run(name, func(t *testing.T) {
			const writers, updates = 32, 8
			s := openAt(t, start(t))
			var wg sync.WaitGroup
			for range writers {
				wg.Go(func() {
					for range updates {
						if _, err := s.Update(t.Context(), "n", increment); err != nil {
							t.Error(err)
							return
						}
					}
				})
			}
			wg.Wait()
			e, err := s.Get(t.Context(), "n")
			if want := strconv.Itoa(writers * updates); err != nil || string(e.Value) != want {
				t.Errorf("the counter is %q, %v; want %s", e.Value, err, want)
			}
		})
	}
}

// scripted is a provider whose stores let a test answer their operations.
type scripted struct {
	driver.Provider
	answer func(op driver.Op, apply func() driver.Result) driver.Result
}

func (p *scripted) OpenStore(ctx context.Context, c driver.StoreConfig) (driver.Store, error) {
	s, err := p.Provider.OpenStore(ctx, c)
	return &scriptedStore{s, p}, err
}

type scriptedStore struct {
	driver.Store
	p *scripted
}

func (s *scriptedStore) Do(ctx context.Context, ops []driver.Op) []driver.Result {
	results := make([]driver.Result, len(ops))
	for i, op := range ops {
		results[i] = s.p.answer(op, func() driver.Result { return s.Store.Do(ctx, []driver.Op{op})[0] })
	}
	return results
}

func openScripted(t *testing.T, answer func(op driver.Op, apply func() driver.Result) driver.Result) *kv.Store {
	t.Helper()
	p, err := fairlead.Open(t.Context(), "mem://")
	if err != nil {
		t.Fatal(err)
	}
	s, err := kv.Open(t.Context(), &scripted{p.(driver.Provider), answer}, "s")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = errors.Join(s.Close(context.Background()), p.Close(context.Background())) })
	return s
}

// TestUpdateUsesWhatTheConflictTells lets another writer be faster once. The second
// attempt reads the key again only if the conflict does not carry the present
// entry.
func TestUpdateUsesWhatTheConflictTells(t *testing.T) {
	for tells, want := range map[bool][]driver.OpKind{
		true:  {driver.OpGet, driver.OpCAS, driver.OpCAS},
		false: {driver.OpGet, driver.OpCAS, driver.OpGet, driver.OpCAS},
	} {
		var kinds []driver.OpKind
		var s *kv.Store
		interfere := true
		s = openScripted(t, func(op driver.Op, apply func() driver.Result) driver.Result {
			if op.Kind == driver.OpPut {
				return apply()
			}
			kinds = append(kinds, op.Kind)
			if op.Kind == driver.OpCAS && interfere {
				interfere = false
				_, _ = s.Put(context.Background(), "n", []byte("10"))
			}
			r := apply()
			if !tells {
				r.Current = nil
			}
			return r
		})
		if _, err := s.Put(t.Context(), "n", []byte("1")); err != nil {
			t.Fatal(err)
		}
		e, err := s.Update(t.Context(), "n", increment)
		if err != nil || string(e.Value) != "11" || !slices.Equal(kinds, want) {
			t.Errorf("tells %v: %q, %v, by the operations %v, want %v", tells, e.Value, err, kinds, want)
		}
		if read, err := s.Get(t.Context(), "n"); err != nil || read.Revision != e.Revision {
			t.Errorf("Update returned the revision %q, a read %q, %v", e.Revision, read.Revision, err)
		}
	}
}

func TestUpdateEnds(t *testing.T) {
	cause := errors.New("not today")
	for _, c := range []struct {
		name   string
		code   fairlead.Code // of every write
		change func(kv.Entry) ([]byte, error)
		want   error
		writes int
	}{
		{"change fails", 0, func(kv.Entry) ([]byte, error) { return nil, cause }, cause, 0},
		{"unknown outcome", fairlead.UnknownOutcome, increment, kv.ErrUnknownOutcome, 1},
		{"unavailable", fairlead.Unavailable, increment, kv.ErrUnavailable, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			writes := 0
			s := openScripted(t, func(op driver.Op, apply func() driver.Result) driver.Result {
				if !op.Kind.IsWrite() {
					return apply()
				}
				writes++
				return driver.Result{Err: fairlead.Errorf(c.code, "refused")}
			})
			_, err := s.Update(t.Context(), "n", c.change)
			if !errors.Is(err, c.want) || writes != c.writes {
				t.Errorf("%v after %d writes, want %v after %d", err, writes, c.want, c.writes)
			}
			if c.want == cause && err != cause {
				t.Errorf("the error of change was wrapped: %v", err)
			}
		})
	}
}
