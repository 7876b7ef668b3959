package gocloud

import (
	"context"
	"sync"
	"time"

	"gocloud.dev/docstore"
	"gocloud.dev/docstore/memdocstore"
	"gocloud.dev/pubsub"
	"gocloud.dev/pubsub/mempubsub"

	"fairlead.dev"

	"fairlead.dev/providers"
)

// unreachedDeadline is an acknowledgement deadline of mempubsub that is not reached: the
// bridge has leases of its own.
const unreachedDeadline = 100 * 365 * 24 * time.Hour

const memMaxBytes = 16 << 20

func memDriver() Driver {
	return Driver{
		Scheme: "mem",
		Help:   "mempubsub and memdocstore of gocloud.dev, in the memory of this process: gocloud+mem:// (private) or gocloud+mem://NAME (shared within the process)",
		Open:   openMem,
	}
}

// memBackend holds the data that the providers of one name share.
type memBackend struct {
	name    string
	opened  int // guarded by memories
	handles *openHandles

	mu            sync.Mutex
	topics        map[string]*pubsub.Topic
	subscriptions map[groupName]*pubsub.Subscription
	collections   map[string]*docstore.Collection
}

var memBackends = struct {
	sync.Mutex
	byName map[string]*memBackend
}{byName: map[string]*memBackend{}}

func openMem(_ context.Context, s providers.Settings) (*Backend, error) {
	if s.URL.User != nil || s.URL.Port() != "" || (s.URL.Path != "" && s.URL.Path != "/") {
		return nil, fairlead.Errorf(fairlead.Invalid, "the URL has no user, port or path; use gocloud+mem:// or gocloud+mem://NAME")
	}
	m := acquireMemBackend(s.URL.Host)
	return &Backend{
		System: "gocloud.mem", Endpoint: m.name, Volatile: true, Shared: m.name != "",
		PubSub: m.handles.driver,
		Docs: &Docs{
			OpenCollection: m.findOrCreateCollection, Collections: m.listCollections, DeleteCollection: m.deleteCollection,
			Ordered: true, Linearizable: true, MaxValueBytes: memMaxBytes,
		},
		Release: m.release,
		handles: m.handles,
	}, nil
}

func acquireMemBackend(name string) *memBackend {
	memBackends.Lock()
	defer memBackends.Unlock()
	m := memBackends.byName[name]
	if m == nil || name == "" {
		m = &memBackend{
			name:          name,
			topics:        map[string]*pubsub.Topic{},
			subscriptions: map[groupName]*pubsub.Subscription{},
			collections:   map[string]*docstore.Collection{},
		}
		m.handles = newOpenHandles(m.pubsub())
	}
	if name != "" {
		memBackends.byName[name] = m
	}
	m.opened++
	return m
}

func (m *memBackend) release(context.Context) error {
	memBackends.Lock()
	m.opened--
	last := m.opened == 0
	if last && memBackends.byName[m.name] == m {
		delete(memBackends.byName, m.name)
	}
	memBackends.Unlock()
	if !last {
		return nil
	}
	m.handles.close()
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, c := range m.collections {
		_ = c.Close() // it has no handles any more
	}
	return nil
}

func (m *memBackend) pubsub() *PubSub {
	return &PubSub{
		OpenTopic: m.openTopic, OpenSubscription: m.openSubscription,
		Topics: m.listTopics, DeleteTopic: m.deleteTopic, DeleteGroup: m.deleteGroup,
		Broadcast: true, Local: true, MaxMessageBytes: memMaxBytes,
	}
}

// findOrCreateTopic returns the topic of a name. m is locked.
func (m *memBackend) findOrCreateTopic(name string) *pubsub.Topic {
	t := m.topics[name]
	if t == nil {
		t = mempubsub.NewTopic()
		m.topics[name] = t
	}
	return t
}

func (m *memBackend) openTopic(_ context.Context, name string) (*Topic, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return &Topic{Topic: m.findOrCreateTopic(name)}, nil
}

// openSubscription returns a subscription that is never closed: mempubsub cannot
// forget a subscription, and one that is shut down would lose the messages that
// it gets.
func (m *memBackend) openSubscription(_ context.Context, topic, group string) (*Subscription, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	name := groupName{topic, group}
	f := m.subscriptions[name]
	if f == nil {
		f = mempubsub.NewSubscription(m.findOrCreateTopic(topic), unreachedDeadline)
		if group != "" {
			m.subscriptions[name] = f
		}
	}
	// Giving messages back at the end is pointless: all data is lost then.
	return &Subscription{Subscription: f, Requeues: true}, nil
}

func (m *memBackend) listTopics(_ context.Context, prefix string) ([]string, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return namesWithPrefix(m.topics, prefix), nil
}

func (m *memBackend) deleteTopic(_ context.Context, name string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.topics, name)
	for f := range m.subscriptions {
		if f.topic == name {
			delete(m.subscriptions, f)
		}
	}
	return nil
}

func (m *memBackend) deleteGroup(_ context.Context, topic, group string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.subscriptions, groupName{topic, group})
	return nil
}

func (m *memBackend) findOrCreateCollection(_ context.Context, name string) (*docstore.Collection, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if c := m.collections[name]; c != nil {
		return c, nil
	}
	c, err := memdocstore.OpenCollection(KeyField, nil)
	if err == nil {
		m.collections[name] = c
	}
	return c, err
}

func (m *memBackend) listCollections(_ context.Context, prefix string) ([]string, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return namesWithPrefix(m.collections, prefix), nil
}

func (m *memBackend) deleteCollection(_ context.Context, name string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	c := m.collections[name]
	delete(m.collections, name)
	if c == nil {
		return nil
	}
	return c.Close() // open handles fail from then on
}
