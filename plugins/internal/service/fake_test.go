package service

import (
	"context"
	"io"
	"log/slog"
	"sync"
	"testing"

	"go.uber.org/goleak"

	"fairlead.dev"
	kvdriver "fairlead.dev/kv/driver"
	"fairlead.dev/plugins/internal/pluginpb/fairlead/plugin/v1"
	"fairlead.dev/providers"
	psdriver "fairlead.dev/pubsub/driver"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// fakeProvider is a provider whose drivers call the functions that a test sets.
// By default, calls wait until the provider or anything of it is closed, and fail
// with Closed.
type fakeProvider struct {
	*providers.Live
	closed    chan struct{}
	closing   sync.Once
	holdClose chan struct{} // until it is closed, so is not the provider; nil: at once

	do      func(context.Context, []kvdriver.Op) []kvdriver.Result
	send    func(context.Context, []psdriver.Message) []psdriver.SendResult
	next    func(context.Context) ([]kvdriver.Event, error)
	receive func(context.Context, int) ([]psdriver.Delivery, error)
	settle  func(context.Context, []psdriver.Settlement) []error
}

func newFakeProvider(limits fairlead.Limits) *fakeProvider {
	f := &fakeProvider{closed: make(chan struct{}), Live: providers.NewLive(fairlead.Description{Facets: []fairlead.FacetDescription{
		{Facet: fairlead.KV, Limits: limits}, {Facet: fairlead.PubSub, Limits: limits},
	}})}
	f.do = func(_ context.Context, ops []kvdriver.Op) []kvdriver.Result {
		return resultsFor(ops, func(int) kvdriver.Result { return kvdriver.Result{Err: f.awaitClosed()} })
	}
	f.send = func(_ context.Context, msgs []psdriver.Message) []psdriver.SendResult {
		return resultsFor(msgs, func(int) psdriver.SendResult { return psdriver.SendResult{Err: f.awaitClosed()} })
	}
	f.settle = func(_ context.Context, all []psdriver.Settlement) []error {
		return resultsFor(all, func(int) error { return f.awaitClosed() })
	}
	f.next = func(context.Context) ([]kvdriver.Event, error) { return nil, f.awaitClosed() }
	f.receive = func(context.Context, int) ([]psdriver.Delivery, error) { return nil, f.awaitClosed() }
	return f
}

// awaitClosed waits until anything is closed.
func (f *fakeProvider) awaitClosed() error {
	<-f.closed
	return fairlead.Errorf(fairlead.Closed, "the driver is closed")
}

// resultsFor returns one result for each operation.
func resultsFor[Q, A any](all []Q, answer func(int) A) []A {
	out := make([]A, len(all))
	for i := range all {
		out[i] = answer(i)
	}
	return out
}

func (f *fakeProvider) markClosed() error {
	f.closing.Do(func() { close(f.closed) })
	return nil
}

func (f *fakeProvider) Close(context.Context) error {
	if f.holdClose != nil {
		<-f.holdClose
	}
	f.Shut()
	return f.markClosed()
}

// isClosed reports whether the provider is closed.
func (f *fakeProvider) isClosed() bool {
	_, err := f.Describe(context.Background())
	return err != nil
}

func (f *fakeProvider) OpenStore(context.Context, kvdriver.StoreConfig) (kvdriver.Store, error) {
	return fakeStore{f: f}, nil
}
func (f *fakeProvider) Stores(context.Context, string) ([]string, error) { return nil, nil }
func (f *fakeProvider) DeleteStore(context.Context, string) error        { return nil }

func (f *fakeProvider) OpenTopic(context.Context, psdriver.TopicConfig) (psdriver.Topic, error) {
	return fakeTopic{f}, nil
}
func (f *fakeProvider) OpenSubscription(context.Context, psdriver.SubscriptionConfig) (psdriver.Subscription, error) {
	return fakeSubscription{f}, nil
}
func (f *fakeProvider) Topics(context.Context, string) ([]string, error)  { return nil, nil }
func (f *fakeProvider) DeleteTopic(context.Context, string) error         { return nil }
func (f *fakeProvider) DeleteGroup(context.Context, string, string) error { return nil }

type fakeStore struct {
	kvdriver.Store // nil: no test calls its methods
	f              *fakeProvider
}

func (s fakeStore) Do(ctx context.Context, ops []kvdriver.Op) []kvdriver.Result {
	return s.f.do(ctx, ops)
}
func (s fakeStore) Watch(context.Context, kvdriver.WatchRequest) (kvdriver.Watcher, error) {
	return fakeWatcher{s.f}, nil
}
func (s fakeStore) Close(context.Context) error { return s.f.markClosed() }

type fakeWatcher struct{ f *fakeProvider }

func (w fakeWatcher) Next(ctx context.Context) ([]kvdriver.Event, error) { return w.f.next(ctx) }
func (w fakeWatcher) Close(context.Context) error                        { return w.f.markClosed() }

type fakeTopic struct{ f *fakeProvider }

func (t fakeTopic) Send(ctx context.Context, msgs []psdriver.Message) []psdriver.SendResult {
	return t.f.send(ctx, msgs)
}
func (t fakeTopic) Close(context.Context) error { return t.f.markClosed() }

type fakeSubscription struct{ f *fakeProvider }

func (s fakeSubscription) Receive(ctx context.Context, limit int) ([]psdriver.Delivery, error) {
	return s.f.receive(ctx, limit)
}
func (s fakeSubscription) Settle(ctx context.Context, all []psdriver.Settlement) []error {
	return s.f.settle(ctx, all)
}
func (s fakeSubscription) Close(context.Context) error { return s.f.markClosed() }

// newService returns a service that opens the provider.
func newService(p fairlead.Provider) *Service {
	return New(Config{
		Open: func(context.Context, string, map[string]string) (fairlead.Provider, error) { return p, nil },
		Log:  slog.New(slog.DiscardHandler),
	})
}

func openSession(t *testing.T, s *Service) *pluginpb.Attach {
	t.Helper()
	r, err := s.Open(t.Context(), &pluginpb.OpenRequest{})
	if err != nil {
		t.Fatal(err)
	}
	return &pluginpb.Attach{Session: r.Session, Token: r.Token}
}

// hostConn is both ends of a data plane: tests use the host's end, the service
// the plugin's end.
type hostConn struct {
	in     chan *pluginpb.ExchangeRequest
	out    chan *pluginpb.ExchangeResponse
	served chan error // what serve returned
	last   uint64
}

func (h *hostConn) Send(f *pluginpb.ExchangeResponse) error {
	h.out <- f
	return nil
}

func (h *hostConn) Recv() (*pluginpb.ExchangeRequest, error) {
	f, ok := <-h.in
	if !ok {
		return nil, io.EOF
	}
	return f, nil
}

// connect sends the first frame, and returns the plugin's response.
func connect(s *Service, first *pluginpb.Attach) (*hostConn, *pluginpb.ExchangeResponse) {
	h := &hostConn{
		in: make(chan *pluginpb.ExchangeRequest), out: make(chan *pluginpb.ExchangeResponse, 100), served: make(chan error, 1),
	}
	go func() { h.served <- s.serveConn(context.Background(), h) }()
	h.in <- &pluginpb.ExchangeRequest{Attach: first}
	return h, <-h.out
}

// newAttached returns a service of the provider and a connection that is attached
// to a session. The connection is closed when the test ends.
func newAttached(t *testing.T, p fairlead.Provider) (*Service, *hostConn) {
	t.Helper()
	s := newService(p)
	h, f := connect(s, openSession(t, s))
	if f.End != nil {
		t.Fatal(f.End)
	}
	t.Cleanup(func() {
		close(h.in)
		if err := <-h.served; err != nil {
			t.Error(err)
		}
	})
	return s, h
}

// beginCall makes a call, and returns its id.
func (h *hostConn) beginCall(handle uint64, c *pluginpb.Call) uint64 {
	h.last++
	c.Id, c.Handle = h.last, handle
	h.in <- &pluginpb.ExchangeRequest{Calls: []*pluginpb.Call{c}}
	return c.Id
}

// awaitReplies waits for the replies to n calls.
func (h *hostConn) awaitReplies(n int) map[uint64]*pluginpb.Reply {
	all := map[uint64]*pluginpb.Reply{}
	for len(all) < n {
		for _, r := range (<-h.out).Replies {
			all[r.Id] = r
		}
	}
	return all
}

// callAndWait makes a call and waits for its reply.
func (h *hostConn) callAndWait(handle uint64, c *pluginpb.Call) *pluginpb.Reply {
	id := h.beginCall(handle, c)
	return h.awaitReplies(1)[id]
}

// handles has a handle of each kind.
type handles struct{ store, watch, topic, subscription uint64 }

func (h *hostConn) openAll() (all handles) {
	all.store = h.callAndWait(0, &pluginpb.Call{Body: &pluginpb.Call_KvOpenStore{}}).Handle
	all.watch = h.callAndWait(all.store, &pluginpb.Call{Body: &pluginpb.Call_KvWatch{}}).Handle
	all.topic = h.callAndWait(0, &pluginpb.Call{Body: &pluginpb.Call_PubsubOpenTopic{}}).Handle
	all.subscription = h.callAndWait(0, &pluginpb.Call{Body: &pluginpb.Call_PubsubOpenSubscription{}}).Handle
	return all
}

// putCall is a call with a write for each key.
func putCall(keys ...string) *pluginpb.Call {
	do := &pluginpb.KVDo{}
	for _, k := range keys {
		do.Ops = append(do.Ops, &pluginpb.KVOp{Kind: pluginpb.KVOpKind_KV_OP_KIND_PUT, Key: []byte(k)})
	}
	return &pluginpb.Call{Body: &pluginpb.Call_KvDo{KvDo: do}}
}

// publishCall is a call with a message for each id.
func publishCall(ids ...string) *pluginpb.Call {
	send := &pluginpb.PubSubSend{}
	for _, id := range ids {
		send.Messages = append(send.Messages, &pluginpb.PubSubMessage{Id: id})
	}
	return &pluginpb.Call{Body: &pluginpb.Call_PubsubSend{PubsubSend: send}}
}

// codesOf returns the codes in a reply: the code of the call if it failed as a
// whole, and otherwise the codes of its results.
func codesOf(r *pluginpb.Reply) []pluginpb.Code {
	if r.GetError() != nil {
		return []pluginpb.Code{r.Error.Code}
	}
	var all []pluginpb.Code
	for _, one := range r.GetKvResults().GetResults() {
		all = append(all, one.Error.GetCode())
	}
	for _, one := range r.GetPubsubSendResults().GetResults() {
		all = append(all, one.Error.GetCode())
	}
	for _, one := range r.GetPubsubSettled().GetFailures() {
		all = append(all, one.Error.GetCode())
	}
	return all
}
