package memory

import (
	"context"
	"strings"
	"sync"
)

// catalog holds the tables, or the topics, of a backend by their names. One that
// was deleted stays while handles refer to it: a write through one of them
// creates it again.
type catalog[T deletable] struct {
	create func() T

	mu     sync.Mutex
	byName map[string]*catalogEntry[T]
}

// deletable is a table or a topic. Its methods lock it; the catalog is locked.
type deletable interface {
	isDeleted() bool
	delete()   // removes all that it holds
	undelete() // it exists again
}

// catalogEntry is a table or a topic with the number of its open handles.
type catalogEntry[T deletable] struct {
	value   T
	handles int
}

func newCatalog[T deletable](create func() T) *catalog[T] {
	return &catalog[T]{create: create, byName: map[string]*catalogEntry[T]{}}
}

// open returns the value of a name for a handle, which lasts as long as life. It
// creates the value if it does not exist.
func (c *catalog[T]) open(name string, life context.Context) T {
	c.mu.Lock()
	defer c.mu.Unlock()
	e := c.byName[name]
	if e == nil {
		e = &catalogEntry[T]{value: c.create()}
		c.byName[name] = e
	}
	e.value.undelete()
	e.handles++
	context.AfterFunc(life, func() { c.close(name, e) })
	return e.value
}

// close removes a handle, and with the last one a value that was deleted.
func (c *catalog[T]) close(name string, e *catalogEntry[T]) {
	c.mu.Lock()
	defer c.mu.Unlock()
	e.handles--
	c.removeUnused(name, e)
}

// removeUnused removes a deleted value without handles. The catalog is locked.
func (c *catalog[T]) removeUnused(name string, e *catalogEntry[T]) {
	if e.handles == 0 && e.value.isDeleted() {
		delete(c.byName, name)
	}
}

// delete deletes the value of a name, if it exists.
func (c *catalog[T]) delete(name string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if e := c.byName[name]; e != nil {
		e.value.delete()
		c.removeUnused(name, e)
	}
}

// find returns the value of a name, if it exists.
func (c *catalog[T]) find(name string) (value T, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	e := c.byName[name]
	if e == nil || e.value.isDeleted() {
		return value, false
	}
	return e.value, true
}

// names returns the names that start with prefix, in no order.
func (c *catalog[T]) names(prefix string) []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	var names []string
	for name, e := range c.byName {
		if strings.HasPrefix(name, prefix) && !e.value.isDeleted() {
			names = append(names, name)
		}
	}
	return names
}
