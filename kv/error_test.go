package kv_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"fairlead.dev/internal/dev/check"
	"fairlead.dev/kv"
)

// TestErrorsNameStoreAndKey: whatever a driver says, an error names the store, and the
// key if the call was about one.
func TestErrorsNameStoreAndKey(t *testing.T) {
	ctx := t.Context()
	s := open(t)
	_, err := s.Put(ctx, "odd\nkey", nil)
	check.NoError(t, err)
	ended, cancel := context.WithCancel(ctx)
	cancel()
	w, err := s.Watch(ctx, "")
	check.NoError(t, err)
	defer w.Close(ctx)
	calls := map[string]func() error{
		"Get of a missing key":        func() error { _, err := s.Get(ctx, "odd\tkey"); return err },
		"Create of an existing key":   func() error { _, err := s.Create(ctx, "odd\nkey", nil); return err },
		"CAS of another revision":     func() error { _, err := s.CAS(ctx, "odd\nkey", nil, "x"); return err },
		"CAS without a revision":      func() error { _, err := s.CAS(ctx, "odd\nkey", nil, ""); return err },
		"DeleteIf of a missing key":   func() error { return s.DeleteIf(ctx, "odd\tkey", "x") },
		"Put with a bad option":       func() error { _, err := s.Put(ctx, "odd\nkey", nil, kv.WithTTL(-1)); return err },
		"Put with a short TTL":        func() error { _, err := s.Put(ctx, "odd\nkey", nil, kv.WithTTL(time.Nanosecond)); return err },
		"Get with an ended context":   func() error { _, err := s.Get(ended, "odd\nkey"); return err },
		"Update without a function":   func() error { _, err := s.Update(ctx, "odd\nkey", nil); return err },
		"Txn with a failed condition": func() error { _, err := s.Txn(ctx, kv.IfMissing("odd\nkey"), kv.ThenDelete("b")); return err },
	}
	for name, call := range calls {
		text := call().Error()
		for _, part := range []string{`store "s"`, `key "odd\`} {
			if strings.Count(text, part) != 1 {
				t.Errorf("%s: %s is not once in %s", name, part, text)
			}
		}
	}
	_, err = w.Next(ended)
	if !strings.Contains(err.Error(), `store "s"`) {
		t.Errorf("Next: %v", err)
	}
}
