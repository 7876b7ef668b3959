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

// forever is an acknowledgement deadline of mempubsub that does not come:
// leases are the bridge's.
const forever = 100 * 365 * 24 * time.Hour

const memMaxBytes = 16 << 20

func memDriver() Driver {
	return Driver{
		Scheme: "mem",
		Help:   "mempubsub and memdocstore of gocloud.dev, in the memory of this process: gocloud+mem:// (private) or gocloud+mem://NAME (shared within the process)",
		Open:   openMem,
	}
}

// memory is what the providers that are opened on one name share.
type memory struct {
	name   string
	opened int // guarded by memories
	hub    *hub

	mu          sync.Mutex
	topics      map[string]*pubsub.Topic
	feeds       map[groupName]*pubsub.Subscription
	collections map[string]*docstore.Collection
}

var memories = struct {
	sync.Mutex
	named map[string]*memory
}{named: map[string]*memory{}}

func openMem(_ context.Context, s providers.Settings) (*Backend, error) {
	if s.URL.User != nil || s.URL.Port() != "" || (s.URL.Path != "" && s.URL.Path != "/") {
		return nil, fairlead.Errorf(fairlead.Invalid, "this URL has no user, port or path; its forms are gocloud+mem:// and gocloud+mem://NAME")
	}
	m := acquireMemory(s.URL.Host)
	return &Backend{
		System: "gocloud.mem", Endpoint: m.name, Volatile: true, Shared: m.name != "",
		PubSub: m.hub.driver,
		Docs: &Docs{
			OpenCollection: m.collection, Collections: m.listCollections, DeleteCollection: m.deleteCollection,
			Ordered: true, Linearizable: true, MaxValueBytes: memMaxBytes,
		},
		Release: m.release,
		hub:     m.hub,
	}, nil
}

func acquireMemory(name string) *memory {
	memories.Lock()
	defer memories.Unlock()
	m := memories.named[name]
	if m == nil || name == "" {
		m = &memory{
			name:        name,
			topics:      map[string]*pubsub.Topic{},
			feeds:       map[groupName]*pubsub.Subscription{},
			collections: map[string]*docstore.Collection{},
		}
		m.hub = newHub(m.pubsub())
	}
	if name != "" {
		memories.named[name] = m
	}
	m.opened++
	return m
}

func (m *memory) release(context.Context) error {
	memories.Lock()
	m.opened--
	last := m.opened == 0
	if last && memories.named[m.name] == m {
		delete(memories.named, m.name)
	}
	memories.Unlock()
	if !last {
		return nil
	}
	m.hub.close()
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, c := range m.collections {
		_ = c.Close() // nobody has it any more
	}
	return nil
}

func (m *memory) pubsub() *PubSub {
	return &PubSub{
		OpenTopic: m.openTopic, OpenFeed: m.openFeed,
		Topics: m.listTopics, DeleteTopic: m.deleteTopic, DeleteGroup: m.deleteGroup,
		Broadcast: true, Local: true, MaxMessageBytes: memMaxBytes,
	}
}

// topic returns the topic of that name. It is locked.
func (m *memory) topic(name string) *pubsub.Topic {
	t := m.topics[name]
	if t == nil {
		t = mempubsub.NewTopic()
		m.topics[name] = t
	}
	return t
}

func (m *memory) openTopic(_ context.Context, name string) (*Topic, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return &Topic{Topic: m.topic(name)}, nil
}

// openFeed never closes what it opened: mempubsub cannot forget a
// subscription, and one that is shut down would lose what is sent to it.
func (m *memory) openFeed(_ context.Context, topic, group string) (*Feed, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	name := groupName{topic, group}
	f := m.feeds[name]
	if f == nil {
		f = mempubsub.NewSubscription(m.topic(topic), forever)
		if group != "" {
			m.feeds[name] = f
		}
	}
	// To give back, at its end, means nothing: all is lost then.
	return &Feed{Subscription: f, Requeues: true}, nil
}

func (m *memory) listTopics(_ context.Context, prefix string) ([]string, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return withPrefix(m.topics, prefix), nil
}

func (m *memory) deleteTopic(_ context.Context, name string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.topics, name)
	for f := range m.feeds {
		if f.topic == name {
			delete(m.feeds, f)
		}
	}
	return nil
}

func (m *memory) deleteGroup(_ context.Context, topic, group string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.feeds, groupName{topic, group})
	return nil
}

func (m *memory) collection(_ context.Context, name string) (*docstore.Collection, error) {
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

func (m *memory) listCollections(_ context.Context, prefix string) ([]string, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return withPrefix(m.collections, prefix), nil
}

func (m *memory) deleteCollection(_ context.Context, name string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	c := m.collections[name]
	delete(m.collections, name)
	if c == nil {
		return nil
	}
	return c.Close() // handles of it fail from now on
}
