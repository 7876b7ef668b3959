package redis

import (
	"context"
	"testing"

	"fairlead.dev"
	"fairlead.dev/internal/dev/testbed"
	"fairlead.dev/kv/driver"
)

// A write that was found not to have been applied must not be applied later, even
// if it arrives late.
func TestLateWriteIsFenced(t *testing.T) {
	server := testbed.Redis(t)
	p, err := fairlead.Open(t.Context(), server.URL())
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close(context.Background())
	handle, err := p.(driver.Provider).OpenStore(t.Context(), driver.StoreConfig{Name: "late"})
	if err != nil {
		t.Fatal(err)
	}
	s := handle.(*store)
	w := s.newTxn(t.Context(), driver.Txn{Writes: []driver.Op{{Kind: driver.OpPut, Key: "k"}}})
	unknown := fairlead.Errorf(fairlead.UnknownOutcome, "no answer")
	if _, err := w.searchLog(t.Context(), unknown); fairlead.CodeOf(err) != fairlead.Unavailable {
		t.Fatalf("not sent yet: %v", err)
	}
	if _, err := w.resolveReply(t.Context(), s.p.pipeline(t.Context(), s.keys.log, w.cmd)); fairlead.CodeOf(err) != fairlead.Unavailable {
		t.Errorf("the late write: %v", err)
	}
	r := s.Do(t.Context(), []driver.Op{{Kind: driver.OpGet, Key: "k"}})
	if fairlead.CodeOf(r[0].Err) != fairlead.NotFound {
		t.Errorf("the fenced write was applied: %+v", r[0])
	}
}

// If the log does not reach back to before the call, the outcome stays unknown.
func TestWithoutHistoryTheOutcomeStaysUnknown(t *testing.T) {
	server := testbed.Redis(t)
	p, err := fairlead.Open(t.Context(), server.URL())
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close(context.Background())
	handle, err := p.(driver.Provider).OpenStore(t.Context(), driver.StoreConfig{Name: "late"})
	if err != nil {
		t.Fatal(err)
	}
	s := handle.(*store)
	put := driver.Txn{Writes: []driver.Op{{Kind: driver.OpPut, Key: "k"}}}
	w := s.newTxn(t.Context(), put)
	if _, err := s.Txn(t.Context(), put); err != nil {
		t.Fatal(err)
	}
	if err := s.p.client.XTrimMaxLen(t.Context(), s.keys.log, 1).Err(); err != nil {
		t.Fatal(err)
	}
	unknown := fairlead.Errorf(fairlead.UnknownOutcome, "no answer")
	if _, err := w.searchLog(t.Context(), unknown); err != unknown {
		t.Errorf("resolve: %v", err)
	}
}

func TestRevokedMarkIsNotSent(t *testing.T) {
	var m mark
	if !m.revoke() || m.sent() {
		t.Fatal("a new mark could not be revoked, or counts as sent")
	}
	if _, err := m.MarshalBinary(); err == nil {
		t.Error("a revoked mark was sent")
	}
	var n mark
	if _, err := n.MarshalBinary(); err != nil || n.revoke() || !n.sent() {
		t.Error("a mark that was sent was revoked")
	}
}
