package service

import (
	"context"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc/status"

	"fairlead.dev"
	kvdriver "fairlead.dev/kv/driver"
	"fairlead.dev/plugins/internal/convert"
	"fairlead.dev/plugins/internal/pluginpb/fairlead/plugin/v1"
	psdriver "fairlead.dev/pubsub/driver"
)

// codeOf returns the code in a status of the control plane.
func codeOf(err error) fairlead.Code {
	for _, d := range status.Convert(err).Details() {
		if e, ok := d.(*pluginpb.Error); ok {
			return fairlead.CodeOf(convert.ToError(e))
		}
	}
	return fairlead.CodeOf(err)
}

// TestSessionsBelongToTheirHosts shows that a client which guesses the number of a
// session can neither close nor describe it.
func TestSessionsBelongToTheirHosts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFakeProvider(fairlead.Limits{})
		s := newService(f)
		mine, other := openSession(t, s), openSession(t, s)
		for name, token := range map[string][]byte{"no token": nil, "the token of another session": other.Token, "a part": mine.Token[1:]} {
			_, err := s.Close(t.Context(), &pluginpb.CloseRequest{Session: mine.Session, Token: token})
			if codeOf(err) != fairlead.PermissionDenied || f.isClosed() {
				t.Errorf("Close with %s: %v; closed: %v", name, err, f.isClosed())
			}
			_, err = s.Describe(t.Context(), &pluginpb.DescribeRequest{Session: mine.Session, Token: token})
			if codeOf(err) != fairlead.PermissionDenied {
				t.Errorf("Describe with %s: %v", name, err)
			}
		}
		if _, err := s.Describe(t.Context(), &pluginpb.DescribeRequest{Session: mine.Session, Token: mine.Token}); err != nil {
			t.Errorf("Describe with the token: %v", err)
		}
		for range 2 {
			if _, err := s.Close(t.Context(), &pluginpb.CloseRequest{Session: mine.Session, Token: mine.Token}); err != nil || !f.isClosed() {
				t.Errorf("Close with the token: %v; closed: %v", err, f.isClosed())
			}
		}
		if err := s.Shutdown(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

// TestConnectionWithoutAttach shows that a connection on which nothing arrives ends
// in time.
func TestConnectionWithoutAttach(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newService(newFakeProvider(fairlead.Limits{}))
		h := &hostConn{in: make(chan *pluginpb.ExchangeRequest), out: make(chan *pluginpb.ExchangeResponse, 1)}
		began := time.Now()
		if err := s.serveConn(t.Context(), h); codeOf(err) != fairlead.DeadlineExceeded || time.Since(began) != attachTimeout {
			t.Errorf("the connection ended with %v after %v", err, time.Since(began))
		}
		close(h.in)
	})
}

// TestSessionsAreBounded shows that a plugin refuses sessions that are too many,
// before it opens their backends, and takes others when some have ended.
func TestSessionsAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		opened := 0
		s := New(Config{Log: newService(nil).config.Log, Open: func(context.Context, string, map[string]string) (fairlead.Provider, error) {
			opened++
			return newFakeProvider(fairlead.Limits{}), nil
		}})
		var last *pluginpb.Attach
		for range maxSessions {
			last = openSession(t, s)
		}
		if _, err := s.Open(t.Context(), &pluginpb.OpenRequest{}); codeOf(err) != fairlead.Unavailable || opened != maxSessions {
			t.Errorf("a session too many: %v; %d backends were opened", err, opened)
		}
		if _, err := s.Close(t.Context(), &pluginpb.CloseRequest{Session: last.Session, Token: last.Token}); err != nil {
			t.Error(err)
		}
		openSession(t, s)
		if err := s.Shutdown(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

// TestHandlesAreBounded shows that a session refuses handles that are too many.
func TestHandlesAreBounded(t *testing.T) {
	f := newFakeProvider(fairlead.Limits{})
	s, h := newAttached(t, f)
	for _, se := range s.sessions {
		se.mu.Lock()
		for id := range uint64(maxHandles) {
			se.handles[1<<32+id] = fakeTopic{newFakeProvider(fairlead.Limits{})}
		}
		se.mu.Unlock()
	}
	open := &pluginpb.Call{Body: &pluginpb.Call_KvOpenStore{}}
	if r := h.callAndWait(0, open); r.GetError().GetCode() != pluginpb.Code_CODE_UNAVAILABLE {
		t.Errorf("a handle too many: %v", r)
	}
	h.callAndWait(1<<32, &pluginpb.Call{Body: &pluginpb.Call_CloseHandle{}})
	if r := h.callAndWait(0, open); r.Error != nil {
		t.Errorf("after one was closed: %v", r.Error)
	}
}

// TestDescribesAreBounded shows that a session holds few calls of Describe.
func TestDescribesAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newService(newFakeProvider(fairlead.Limits{}))
		a := openSession(t, s)
		ctx, cancel := context.WithCancel(t.Context())
		r, err := s.Describe(ctx, &pluginpb.DescribeRequest{Session: a.Session, Token: a.Token})
		if err != nil {
			t.Fatal(err)
		}
		req := &pluginpb.DescribeRequest{Session: a.Session, Token: a.Token, Generation: r.Description.Generation}
		for range maxDescribes {
			go s.Describe(ctx, req)
		}
		synctest.Wait()
		if _, err := s.Describe(ctx, req); codeOf(err) != fairlead.Unavailable {
			t.Errorf("one too many: %v", err)
		}
		cancel()
		synctest.Wait()
		if err := s.Shutdown(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

// TestStrangeArguments shows that calls with arguments which no host sends are
// refused before they reach a driver.
func TestStrangeArguments(t *testing.T) {
	_, h := newAttached(t, newFakeProvider(fairlead.Limits{}))
	all := h.openAll()
	op := func(op *pluginpb.KVOp) *pluginpb.Call {
		return &pluginpb.Call{Body: &pluginpb.Call_KvDo{KvDo: &pluginpb.KVDo{Ops: []*pluginpb.KVOp{op}}}}
	}
	settle := func(s *pluginpb.PubSubSettlement) *pluginpb.Call {
		return &pluginpb.Call{Body: &pluginpb.Call_PubsubSettle{PubsubSettle: &pluginpb.PubSubSettle{Settlements: []*pluginpb.PubSubSettlement{s}}}}
	}
	subscribe := func(c *pluginpb.PubSubOpenSubscription) *pluginpb.Call {
		return &pluginpb.Call{Body: &pluginpb.Call_PubsubOpenSubscription{PubsubOpenSubscription: c}}
	}
	for name, c := range map[string]struct {
		handle uint64
		call   *pluginpb.Call
	}{
		"no kind":               {all.store, op(&pluginpb.KVOp{})},
		"an unknown kind":       {all.store, op(&pluginpb.KVOp{Kind: 99})},
		"a kind beyond a byte":  {all.store, op(&pluginpb.KVOp{Kind: 256 + 2})},
		"a negative TTL":        {all.store, op(&pluginpb.KVOp{Kind: 2, TtlNanos: -1})},
		"a negative TTL in Txn": {all.store, &pluginpb.Call{Body: &pluginpb.Call_KvTxn{KvTxn: &pluginpb.KVTxn{Writes: []*pluginpb.KVOp{{Kind: 2, TtlNanos: -1}}}}}},
		"an unknown settlement": {all.subscription, settle(&pluginpb.PubSubSettlement{Kind: 256 + 1})},
		"a negative delay":      {all.subscription, settle(&pluginpb.PubSubSettlement{Kind: 2, DelayNanos: -1})},
		"an unknown start":      {0, subscribe(&pluginpb.PubSubOpenSubscription{Start: 256 + 1})},
		"a negative deadline":   {0, subscribe(&pluginpb.PubSubOpenSubscription{Start: 1, AckDeadlineNanos: -1})},
	} {
		if r := h.callAndWait(c.handle, c.call); r.GetError().GetCode() != pluginpb.Code_CODE_INVALID {
			t.Errorf("%s: %v, want Invalid", name, r)
		}
	}
	for given, want := range map[int64]int{-1 << 63: 1, -1: 1, 0: 1, 1: 1, 1 << 16: 1 << 16, 1<<63 - 1: 1 << 16} {
		if got := clampLimit(given); got != want {
			t.Errorf("the limit %d became %d, want %d", given, got, want)
		}
	}
}

// TestResultsOfManyOperations shows that each operation of a large call gets its own
// result.
func TestResultsOfManyOperations(t *testing.T) {
	f := newFakeProvider(fairlead.Limits{MaxBatch: 1000, Pipelines: 2})
	f.do = func(_ context.Context, ops []kvdriver.Op) []kvdriver.Result {
		return resultsFor(ops, func(i int) kvdriver.Result { return kvdriver.Result{Revision: kvdriver.Revision(ops[i].Key)} })
	}
	f.send = func(_ context.Context, msgs []psdriver.Message) []psdriver.SendResult {
		return resultsFor(msgs, func(i int) psdriver.SendResult { return psdriver.SendResult{ID: msgs[i].ID} })
	}
	_, h := newAttached(t, f)
	all := h.openAll()
	var names []string
	for i := range 300 {
		names = append(names, strconv.Itoa(i))
	}
	for i, r := range h.callAndWait(all.store, putCall(names...)).GetKvResults().GetResults() {
		if string(r.Revision) != names[i] {
			t.Errorf("operation %d got the result of %s", i, r.Revision)
		}
	}
	for i, r := range h.callAndWait(all.topic, publishCall(names...)).GetPubsubSendResults().GetResults() {
		if r.Id != names[i] {
			t.Errorf("message %d got the result of %s", i, r.Id)
		}
	}
}
