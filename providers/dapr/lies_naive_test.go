package dapr_test

import (
	"context"
	"fmt"
	"math"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	common "github.com/dapr/dapr/pkg/proto/common/v1"
	runtimev1 "github.com/dapr/dapr/pkg/proto/runtime/v1"

	"fairlead.dev"
	"fairlead.dev/internal/dev/check"
	kvdriver "fairlead.dev/kv/driver"
	pubsubdriver "fairlead.dev/pubsub/driver"
)

// naive is a provider that trusts what Dapr says about its components: it uses
// etags as revisions, Dapr's transactions as transactions, and RETRY to give a
// message back.
type naive struct {
	fairlead.Provider
	client     runtimev1.DaprClient
	facet      fairlead.FacetDescription
	components []string // of pubsub; one for each group of a topic

	groups *naiveGroups
}

// naiveGroups gives each group of a topic a component.
type naiveGroups struct {
	mu    sync.Mutex
	seats map[string][]string // groups by topic
}

func newNaive(t *testing.T, url string, f fairlead.FacetDescription, components ...string) fairlead.Provider {
	p, err := fairlead.Open(t.Context(), url)
	check.NoError(t, err)
	n := &naive{Provider: p, facet: f, components: components, groups: &naiveGroups{seats: map[string][]string{}}}
	if !fairlead.As(p, &n.client) {
		t.Fatal("no client")
	}
	return n
}

func (n *naive) forced(d fairlead.Description, err error) (fairlead.Description, error) {
	d.Facets = []fairlead.FacetDescription{n.facet}
	return d, err
}

func (n *naive) Describe(ctx context.Context) (fairlead.Description, error) {
	return n.forced(n.Provider.Describe(ctx))
}

func (n *naive) Await(ctx context.Context, generation uint64) (fairlead.Description, error) {
	return n.forced(n.Provider.Await(ctx, generation))
}

// naiveKV is a facet that trusts etags, times to live and transactions.
var naiveKV = fairlead.FacetDescription{
	Facet:  fairlead.KV,
	Claims: []fairlead.Claim{kvdriver.ClaimCAS, kvdriver.ClaimTTL, kvdriver.ClaimTxn},
	Limits: fairlead.Limits{MaxKeyBytes: 512, MaxValueBytes: 1 << 20, MaxTxnOps: 100, MaxBatch: 100, TTLResolution: time.Second, MinTTL: time.Second},
}

type naiveStore struct {
	*naive
	prefix string
}

func (n *naive) OpenStore(_ context.Context, c kvdriver.StoreConfig) (kvdriver.Store, error) {
	return naiveStore{n, c.Name + "/"}, nil
}
func (n *naive) Stores(context.Context, string) ([]string, error) { return nil, nil }
func (n *naive) DeleteStore(context.Context, string) error        { return nil }
func (naiveStore) Close(context.Context) error                    { return nil }
func (naiveStore) List(context.Context, kvdriver.ListRequest) (p kvdriver.Page, err error) {
	return p, nil
}
func (naiveStore) Watch(context.Context, kvdriver.WatchRequest) (kvdriver.Watcher, error) {
	return nil, nil
}

func (s naiveStore) Do(ctx context.Context, ops []kvdriver.Op) []kvdriver.Result {
	results := make([]kvdriver.Result, len(ops))
	for i, op := range ops {
		results[i] = s.one(ctx, op)
	}
	return results
}

func (s naiveStore) one(ctx context.Context, op kvdriver.Op) (r kvdriver.Result) {
	switch op.Kind {
	case kvdriver.OpGet:
		return s.get(ctx, op.Key)
	case kvdriver.OpDelete, kvdriver.OpDeleteIf:
		_, err := s.client.DeleteState(ctx, &runtimev1.DeleteStateRequest{StoreName: "statestore", Key: s.prefix + op.Key, Etag: etag(op.Revision), Options: firstWrite(op)})
		r.Err = conflict(err)
		return r
	}
	_, err := s.client.SaveState(ctx, &runtimev1.SaveStateRequest{StoreName: "statestore", States: []*common.StateItem{s.item(op)}})
	if r.Err = conflict(err); r.Err == nil {
		r.Revision = s.get(ctx, op.Key).Revision
	}
	return r
}

func (s naiveStore) item(op kvdriver.Op) *common.StateItem {
	item := &common.StateItem{Key: s.prefix + op.Key, Value: append([]byte{'v'}, op.Value...), Etag: etag(op.Revision), Options: firstWrite(op)}
	if op.TTL > 0 {
		item.Metadata = map[string]string{"ttlInSeconds": strconv.Itoa(int(math.Ceil(op.TTL.Seconds())))}
	}
	return item
}

func (s naiveStore) get(ctx context.Context, key string) (r kvdriver.Result) {
	answer, err := s.client.GetState(ctx, &runtimev1.GetStateRequest{StoreName: "statestore", Key: s.prefix + key})
	switch {
	case err != nil:
		r.Err = fairlead.Errorf(fairlead.Unavailable, "%w", err)
	case len(answer.GetData()) == 0:
		r.Err = fairlead.Errorf(fairlead.NotFound, "no such key")
	default:
		r.Value, r.Revision = answer.GetData()[1:], kvdriver.Revision(answer.GetEtag())
	}
	return r
}

// Txn attaches each condition to the write of its key.
func (s naiveStore) Txn(ctx context.Context, t kvdriver.Txn) (kvdriver.Revision, error) {
	conditions := map[string]kvdriver.Revision{}
	for _, c := range t.Conditions {
		conditions[c.Key] = c.Revision
	}
	req := &runtimev1.ExecuteStateTransactionRequest{StoreName: "statestore"}
	for _, w := range t.Writes {
		kind := "upsert"
		if w.Kind == kvdriver.OpDelete {
			kind = "delete"
		}
		if rev, ok := conditions[w.Key]; ok {
			w.Kind, w.Revision = kvdriver.OpCAS, rev
		}
		req.Operations = append(req.Operations, &runtimev1.TransactionalStateOperation{OperationType: kind, Request: s.item(w)})
	}
	if _, err := s.client.ExecuteStateTransaction(ctx, req); err != nil {
		return "", conflict(err)
	}
	return s.get(ctx, t.Writes[0].Key).Revision, nil
}

func etag(r kvdriver.Revision) *common.Etag {
	if r == "" {
		return nil
	}
	return &common.Etag{Value: string(r)}
}

func firstWrite(op kvdriver.Op) *common.StateOptions {
	if op.Kind == kvdriver.OpPut || op.Kind == kvdriver.OpDelete {
		return nil
	}
	return &common.StateOptions{Concurrency: common.StateOptions_CONCURRENCY_FIRST_WRITE}
}

func conflict(err error) error {
	if err == nil {
		return nil
	}
	return fairlead.Errorf(fairlead.Conflict, "%w", err)
}

// naivePubSub is a facet that trusts the broker's order.
var naivePubSub = fairlead.FacetDescription{
	Facet:  fairlead.PubSub,
	Claims: []fairlead.Claim{pubsubdriver.ClaimOrdered},
	Limits: fairlead.Limits{MaxMessageBytes: 1 << 20, MaxBatch: 100, MinAckDeadline: 100 * time.Millisecond},
}

func (n *naive) Topics(context.Context, string) ([]string, error)  { return nil, nil }
func (n *naive) DeleteTopic(context.Context, string) error         { return nil }
func (n *naive) DeleteGroup(context.Context, string, string) error { return nil }

type naiveTopic struct {
	*naive
	name string
}

func (n *naive) OpenTopic(_ context.Context, c pubsubdriver.TopicConfig) (pubsubdriver.Topic, error) {
	return naiveTopic{n, c.Name}, nil
}
func (naiveTopic) Close(context.Context) error { return nil }

// Send publishes in bulk, and gives the metadata to Dapr, which has a field for
// it.
func (t naiveTopic) Send(ctx context.Context, msgs []pubsubdriver.Message) []pubsubdriver.SendResult {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	results := make([]pubsubdriver.SendResult, len(msgs))
	req := &runtimev1.BulkPublishRequest{PubsubName: t.components[0], Topic: t.name}
	for i, m := range msgs {
		metadata := map[string]string{"cloudevent.id": m.ID}
		for name, value := range m.Metadata {
			metadata[name] = value
		}
		if results[i].ID = m.ID; m.ID == "" {
			results[i].ID = fmt.Sprint(time.Now().UnixNano(), i)
			metadata["cloudevent.id"] = results[i].ID
		}
		req.Entries = append(req.Entries, &runtimev1.BulkPublishRequestEntry{
			EntryId: strconv.Itoa(i), Event: m.Body, ContentType: "application/octet-stream", Metadata: metadata,
		})
	}
	if _, err := t.client.BulkPublishEvent(ctx, req); err != nil {
		for i := range results {
			results[i].Err = fairlead.Errorf(fairlead.UnknownOutcome, "%w", err)
		}
	}
	return results
}

type naiveSubscription struct {
	stream runtimev1.Dapr_SubscribeTopicEventsAlpha1Client
	events chan *runtimev1.TopicEventRequest
	end    context.CancelFunc

	mu sync.Mutex
}

// seat returns the component of a group.
func (g *naiveGroups) seat(topic, group string) int {
	g.mu.Lock()
	defer g.mu.Unlock()
	for i, name := range g.seats[topic] {
		if name == group {
			return i
		}
	}
	g.seats[topic] = append(g.seats[topic], group)
	return len(g.seats[topic]) - 1
}

func (n *naive) OpenSubscription(_ context.Context, c pubsubdriver.SubscriptionConfig) (pubsubdriver.Subscription, error) {
	component := n.components[min(n.groups.seat(c.Topic, c.Group), len(n.components)-1)]
	ctx, end := context.WithCancel(context.Background())
	stream, err := n.client.SubscribeTopicEventsAlpha1(ctx)
	if err == nil {
		err = stream.Send(&runtimev1.SubscribeTopicEventsRequestAlpha1{
			SubscribeTopicEventsRequestType: &runtimev1.SubscribeTopicEventsRequestAlpha1_InitialRequest{
				InitialRequest: &runtimev1.SubscribeTopicEventsRequestInitialAlpha1{PubsubName: component, Topic: c.Topic},
			},
		})
	}
	if err == nil {
		_, err = stream.Recv()
	}
	if err != nil {
		end()
		return nil, fairlead.Errorf(fairlead.Unavailable, "%w", err)
	}
	s := &naiveSubscription{stream: stream, events: make(chan *runtimev1.TopicEventRequest, 10_000), end: end}
	go func() {
		for {
			m, err := stream.Recv()
			if err != nil {
				return
			}
			s.events <- m.GetEventMessage()
		}
	}()
	return s, nil
}

func (s *naiveSubscription) Receive(ctx context.Context, limit int) (ds []pubsubdriver.Delivery, err error) {
	select {
	case e := <-s.events:
		ds = append(ds, naiveDelivery(e))
	case <-ctx.Done():
		return nil, fairlead.ContextError(ctx)
	case <-s.stream.Context().Done():
		return nil, fairlead.Errorf(fairlead.Closed, "closed")
	}
	for len(ds) < limit && len(s.events) > 0 {
		ds = append(ds, naiveDelivery(<-s.events))
	}
	return ds, nil
}

func naiveDelivery(e *runtimev1.TopicEventRequest) pubsubdriver.Delivery {
	d := pubsubdriver.Delivery{ID: e.GetId(), Body: e.GetData(), Token: e.GetId()}
	for name, value := range e.GetExtensions().GetFields() {
		if text := value.GetStringValue(); text != "" && !strings.Contains("time topic pubsubname traceid traceparent tracestate specversion", name) {
			if d.Metadata == nil {
				d.Metadata = map[string]string{}
			}
			d.Metadata[name] = text
		}
	}
	return d
}

func (s *naiveSubscription) Settle(_ context.Context, all []pubsubdriver.Settlement) []error {
	s.mu.Lock()
	defer s.mu.Unlock()
	errs := make([]error, len(all))
	for i, one := range all {
		status := runtimev1.TopicEventResponse_SUCCESS
		if one.Kind == pubsubdriver.Nack {
			status = runtimev1.TopicEventResponse_RETRY
		}
		errs[i] = s.stream.Send(&runtimev1.SubscribeTopicEventsRequestAlpha1{
			SubscribeTopicEventsRequestType: &runtimev1.SubscribeTopicEventsRequestAlpha1_EventProcessed{
				EventProcessed: &runtimev1.SubscribeTopicEventsRequestProcessedAlpha1{Id: one.Token, Status: &runtimev1.TopicEventResponse{Status: status}},
			},
		})
	}
	return errs
}

func (s *naiveSubscription) Close(context.Context) error {
	s.end()
	return nil
}
