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

// fake is a provider whose drivers do what a test says. Where it says nothing,
// calls wait until anything of it is closed, and fail with Closed.
type fake struct {
	*providers.Live
	gone  chan struct{}
	going sync.Once
	hold  chan struct{} // until it is closed, so is not the provider; nil: at once

	do      func(context.Context, []kvdriver.Op) []kvdriver.Result
	send    func(context.Context, []psdriver.Message) []psdriver.SendResult
	next    func(context.Context) ([]kvdriver.Event, error)
	receive func(context.Context, int) ([]psdriver.Delivery, error)
	settle  func(context.Context, []psdriver.Settlement) []error
}

func newFake(limits fairlead.Limits) *fake {
	f := &fake{gone: make(chan struct{}), Live: providers.NewLive(fairlead.Description{Facets: []fairlead.FacetDescription{
		{Facet: fairlead.KV, Limits: limits}, {Facet: fairlead.PubSub, Limits: limits},
	}})}
	f.do = func(_ context.Context, ops []kvdriver.Op) []kvdriver.Result {
		return answers(ops, func(int) kvdriver.Result { return kvdriver.Result{Err: f.closed()} })
	}
	f.send = func(_ context.Context, msgs []psdriver.Message) []psdriver.SendResult {
		return answers(msgs, func(int) psdriver.SendResult { return psdriver.SendResult{Err: f.closed()} })
	}
	f.settle = func(_ context.Context, all []psdriver.Settlement) []error {
		return answers(all, func(int) error { return f.closed() })
	}
	f.next = func(context.Context) ([]kvdriver.Event, error) { return nil, f.closed() }
	f.receive = func(context.Context, int) ([]psdriver.Delivery, error) { return nil, f.closed() }
	return f
}

// closed waits until something is closed.
func (f *fake) closed() error {
	<-f.gone
	return fairlead.Errorf(fairlead.Closed, "the driver is closed")
}

// answers returns one answer for each question.
func answers[Q, A any](all []Q, answer func(int) A) []A {
	out := make([]A, len(all))
	for i := range all {
		out[i] = answer(i)
	}
	return out
}

func (f *fake) end() error {
	f.going.Do(func() { close(f.gone) })
	return nil
}

func (f *fake) Close(context.Context) error {
	if f.hold != nil {
		<-f.hold
	}
	f.Shut()
	return f.end()
}

// isOver reports whether the provider is closed.
func (f *fake) isOver() bool {
	_, err := f.Describe(context.Background())
	return err != nil
}

func (f *fake) OpenStore(context.Context, kvdriver.StoreConfig) (kvdriver.Store, error) {
	return fakeStore{f: f}, nil
}
func (f *fake) Stores(context.Context, string) ([]string, error) { return nil, nil }
func (f *fake) DeleteStore(context.Context, string) error        { return nil }

func (f *fake) OpenTopic(context.Context, psdriver.TopicConfig) (psdriver.Topic, error) {
	return fakeTopic{f}, nil
}
func (f *fake) OpenSubscription(context.Context, psdriver.SubscriptionConfig) (psdriver.Subscription, error) {
	return fakeSubscription{f}, nil
}
func (f *fake) Topics(context.Context, string) ([]string, error)  { return nil, nil }
func (f *fake) DeleteTopic(context.Context, string) error         { return nil }
func (f *fake) DeleteGroup(context.Context, string, string) error { return nil }

type fakeStore struct {
	kvdriver.Store // nil: what no test calls
	f              *fake
}

func (s fakeStore) Do(ctx context.Context, ops []kvdriver.Op) []kvdriver.Result {
	return s.f.do(ctx, ops)
}
func (s fakeStore) Watch(context.Context, kvdriver.WatchRequest) (kvdriver.Watcher, error) {
	return fakeWatcher{s.f}, nil
}
func (s fakeStore) Close(context.Context) error { return s.f.end() }

type fakeWatcher struct{ f *fake }

func (w fakeWatcher) Next(ctx context.Context) ([]kvdriver.Event, error) { return w.f.next(ctx) }
func (w fakeWatcher) Close(context.Context) error                        { return w.f.end() }

type fakeTopic struct{ f *fake }

func (t fakeTopic) Send(ctx context.Context, msgs []psdriver.Message) []psdriver.SendResult {
	return t.f.send(ctx, msgs)
}
func (t fakeTopic) Close(context.Context) error { return t.f.end() }

type fakeSubscription struct{ f *fake }

func (s fakeSubscription) Receive(ctx context.Context, limit int) ([]psdriver.Delivery, error) {
	return s.f.receive(ctx, limit)
}
func (s fakeSubscription) Settle(ctx context.Context, all []psdriver.Settlement) []error {
	return s.f.settle(ctx, all)
}
func (s fakeSubscription) Close(context.Context) error { return s.f.end() }

// serviceOf returns a service that opens the provider.
func serviceOf(p fairlead.Provider) *Service {
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

// host is a host's end of a data plane, and for the service the plugin's end.
type host struct {
	in     chan *pluginpb.ExchangeRequest
	out    chan *pluginpb.ExchangeResponse
	served chan error // what serve returned
	last   uint64
}

func (h *host) Send(f *pluginpb.ExchangeResponse) error {
	h.out <- f
	return nil
}

func (h *host) Recv() (*pluginpb.ExchangeRequest, error) {
	f, ok := <-h.in
	if !ok {
		return nil, io.EOF
	}
	return f, nil
}

// connect sends a first frame, and returns the answer.
func connect(s *Service, first *pluginpb.Attach) (*host, *pluginpb.ExchangeResponse) {
	h := &host{
		in: make(chan *pluginpb.ExchangeRequest), out: make(chan *pluginpb.ExchangeResponse, 100), served: make(chan error, 1),
	}
	go func() { h.served <- s.serve(context.Background(), h) }()
	h.in <- &pluginpb.ExchangeRequest{Attach: first}
	return h, <-h.out
}

// attached returns a host with a session of the provider. It leaves when the
// test ends.
func attached(t *testing.T, p fairlead.Provider) (*Service, *host) {
	t.Helper()
	s := serviceOf(p)
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

// begin makes a call, and returns its id.
func (h *host) begin(handle uint64, c *pluginpb.Call) uint64 {
	h.last++
	c.Id, c.Handle = h.last, handle
	h.in <- &pluginpb.ExchangeRequest{Calls: []*pluginpb.Call{c}}
	return c.Id
}

// replies waits for the replies of n calls.
func (h *host) replies(n int) map[uint64]*pluginpb.Reply {
	all := map[uint64]*pluginpb.Reply{}
	for len(all) < n {
		for _, r := range (<-h.out).Replies {
			all[r.Id] = r
		}
	}
	return all
}

// call makes a call and waits for its reply.
func (h *host) call(handle uint64, c *pluginpb.Call) *pluginpb.Reply {
	id := h.begin(handle, c)
	return h.replies(1)[id]
}

// handles are those of what a provider opens.
type handles struct{ store, watch, topic, subscription uint64 }

func (h *host) open() (all handles) {
	all.store = h.call(0, &pluginpb.Call{Body: &pluginpb.Call_KvOpenStore{}}).Handle
	all.watch = h.call(all.store, &pluginpb.Call{Body: &pluginpb.Call_KvWatch{}}).Handle
	all.topic = h.call(0, &pluginpb.Call{Body: &pluginpb.Call_PubsubOpenTopic{}}).Handle
	all.subscription = h.call(0, &pluginpb.Call{Body: &pluginpb.Call_PubsubOpenSubscription{}}).Handle
	return all
}

// put is a call with as many writes as there are keys.
func put(keys ...string) *pluginpb.Call {
	do := &pluginpb.KVDo{}
	for _, k := range keys {
		do.Ops = append(do.Ops, &pluginpb.KVOp{Kind: pluginpb.KVOpKind_KV_OP_KIND_PUT, Key: []byte(k)})
	}
	return &pluginpb.Call{Body: &pluginpb.Call_KvDo{KvDo: do}}
}

// publish is a call with as many messages as there are ids.
func publish(ids ...string) *pluginpb.Call {
	send := &pluginpb.PubSubSend{}
	for _, id := range ids {
		send.Messages = append(send.Messages, &pluginpb.PubSubMessage{Id: id})
	}
	return &pluginpb.Call{Body: &pluginpb.Call_PubsubSend{PubsubSend: send}}
}

// codesOf returns those of a reply: of the call if it failed as a whole, else of
// its parts.
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
