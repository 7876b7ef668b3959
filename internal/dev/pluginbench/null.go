package main

import (
	"context"

	"fairlead.dev"
	kvdriver "fairlead.dev/kv/driver"
	"fairlead.dev/providers"
	psdriver "fairlead.dev/pubsub/driver"
)

// nullScheme is the scheme of a backend that does nothing, so that the benchmark
// measures the way to it.
const nullScheme = "null"

func init() {
	providers.Register(providers.Scheme{Name: nullScheme, Help: "answers at once: null://", Open: openNull})
}

type nullProvider struct{ *providers.Live }

var payload = make([]byte, 256)

func openNull(context.Context, providers.Settings) (fairlead.Provider, error) {
	limits := fairlead.Limits{MaxKeyBytes: 512, MaxValueBytes: 1 << 20, MaxMessageBytes: 1 << 20, MaxBatch: 256}
	return &nullProvider{providers.NewLive(fairlead.Description{
		Provider: nullScheme,
		Facets:   []fairlead.FacetDescription{{Facet: fairlead.KV, Limits: limits}, {Facet: fairlead.PubSub, Limits: limits}},
	})}, nil
}

func (n *nullProvider) Close(context.Context) error {
	n.Shut()
	return nil
}

func (n *nullProvider) OpenStore(context.Context, kvdriver.StoreConfig) (kvdriver.Store, error) {
	return nullStore{}, nil
}
func (n *nullProvider) Stores(context.Context, string) ([]string, error) { return nil, nil }
func (n *nullProvider) DeleteStore(context.Context, string) error        { return nil }

func (n *nullProvider) OpenTopic(context.Context, psdriver.TopicConfig) (psdriver.Topic, error) {
	return nullTopic{}, nil
}

func (n *nullProvider) OpenSubscription(context.Context, psdriver.SubscriptionConfig) (psdriver.Subscription, error) {
	return nil, fairlead.Errorf(fairlead.Unsupported, "the null provider delivers no messages")
}
func (n *nullProvider) Topics(context.Context, string) ([]string, error)  { return nil, nil }
func (n *nullProvider) DeleteTopic(context.Context, string) error         { return nil }
func (n *nullProvider) DeleteGroup(context.Context, string, string) error { return nil }

// nullStore has one value under every key.
type nullStore struct{ kvdriver.Store }

func (nullStore) Do(_ context.Context, ops []kvdriver.Op) []kvdriver.Result {
	results := make([]kvdriver.Result, len(ops))
	for i, op := range ops {
		if results[i].Revision = "1"; !op.Kind.IsWrite() {
			results[i].Value = payload
		}
	}
	return results
}
func (nullStore) Close(context.Context) error { return nil }

type nullTopic struct{}

func (nullTopic) Send(_ context.Context, msgs []psdriver.Message) []psdriver.SendResult {
	results := make([]psdriver.SendResult, len(msgs))
	for i := range results {
		results[i].ID = "1"
	}
	return results
}
func (nullTopic) Close(context.Context) error { return nil }
