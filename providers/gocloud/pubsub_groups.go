package gocloud

import (
	"context"
	"sync"

	"fairlead.dev"
)

// openGroups holds the groups of a backend that are open in this process. A
// group of a Local backend stays open as long as openGroups; every other one as
// long as it has a consumer.
type openGroups struct {
	driver *PubSub

	mu     sync.Mutex
	byName map[groupName]*group
	closed bool
}

type groupName struct{ topic, group string }

func newOpenGroups(d *PubSub) *openGroups {
	return &openGroups{driver: d, byName: map[groupName]*group{}}
}

// join returns the group of a name with one more consumer. The subscription of
// the group is open then.
func (h *openGroups) join(ctx context.Context, topic, name string) (*group, error) {
	g := h.addConsumer(groupName{topic, name})
	if g == nil {
		return nil, errClosed()
	}
	if err := g.openSource(ctx); err != nil {
		h.leave(g)
		return nil, err
	}
	return g, nil
}

// addConsumer counts a consumer before the subscription is open, so that the
// group is not closed meanwhile.
func (h *openGroups) addConsumer(name groupName) *group {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed {
		return nil
	}
	g := h.byName[name]
	if g == nil || name.group == "" {
		g = newGroup(h.driver, name)
		if name.group != "" {
			h.byName[name] = g
		}
	}
	g.consumers++
	return g
}

// leave removes a consumer. The last one closes the group, which gives its
// messages back.
func (h *openGroups) leave(g *group) {
	h.mu.Lock()
	g.consumers--
	last := g.consumers == 0 && (!h.driver.Local || g.name.group == "")
	if last && h.byName[g.name] == g {
		delete(h.byName, g.name)
	}
	h.mu.Unlock()
	if last {
		g.close()
	}
}

// removeDeleted removes groups that were deleted. A group that is opened with
// the same name later is a new one.
func (h *openGroups) removeDeleted(deleted func(groupName) bool) {
	h.mu.Lock()
	var gone []*group
	for name, g := range h.byName {
		if deleted(name) {
			gone = append(gone, g)
			delete(h.byName, name)
		}
	}
	h.mu.Unlock()
	for _, g := range gone {
		g.closeDeleted()
	}
}

// close closes all groups concurrently.
func (h *openGroups) close() {
	h.mu.Lock()
	h.closed = true
	all := h.byName
	h.byName = map[groupName]*group{}
	h.mu.Unlock()
	var closing sync.WaitGroup
	for _, g := range all {
		closing.Go(g.close)
	}
	closing.Wait()
}

func errClosed() error { return fairlead.Errorf(fairlead.Closed, "the provider is closed") }
