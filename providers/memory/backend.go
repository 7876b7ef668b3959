package memory

import (
	"sync"
	"time"
)

// backend holds the data that the providers of one name share.
type backend struct {
	name         string
	opened       int // open providers; guarded by backends
	dedupeWindow time.Duration
	listeners    *listenerRegistry
	endpoints    *endpointRegistry

	tables *catalog[*table] // by the name of the store
	topics *catalog[*topic]
}

func newBackend(name string, historySize int, dedupeWindow time.Duration) *backend {
	return &backend{
		name:         name,
		dedupeWindow: dedupeWindow,
		listeners:    newListenerRegistry(),
		endpoints:    newEndpointRegistry(),
		tables:       newCatalog(func() *table { return newTable(historySize) }),
		topics:       newCatalog(func() *topic { return newTopic(historySize, dedupeWindow) }),
	}
}

// backends holds the named backends of this process.
var backends = struct {
	sync.Mutex
	byName map[string]*backend
}{byName: map[string]*backend{}}

// acquireBackend returns the backend of a name, or a new one for the empty name.
// The settings of the first Open of a name apply.
func acquireBackend(name string, historySize int, dedupeWindow time.Duration) *backend {
	backends.Lock()
	defer backends.Unlock()
	b := backends.byName[name]
	if b == nil {
		b = newBackend(name, historySize, dedupeWindow)
	}
	if name != "" {
		backends.byName[name] = b
	}
	b.opened++
	return b
}

// releaseBackend removes a named backend when its last provider closes.
func releaseBackend(b *backend) {
	backends.Lock()
	defer backends.Unlock()
	b.opened--
	if b.opened == 0 {
		delete(backends.byName, b.name)
	}
}
