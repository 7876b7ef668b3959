package gocloud

import (
	"context"
	"sync"
)

// hub has the groups of a backend that are open in this process. A group that
// is Local stays as long as the hub; every other one as long as it has a
// consumer.
type hub struct {
	driver *PubSub

	mu     sync.Mutex
	groups map[groupName]*group
	closed bool
}

type groupName struct{ topic, group string }

func newHub(d *PubSub) *hub { return &hub{driver: d, groups: map[groupName]*group{}} }

// join returns the group of that name with one more consumer. The group's
// feed is open when join returns.
func (h *hub) join(ctx context.Context, topic, name string) (*group, error) {
	g := h.enter(groupName{topic, name})
	if g == nil {
		return nil, closedError()
	}
	if err := g.open(ctx); err != nil {
		h.leave(g)
		return nil, err
	}
	return g, nil
}

// enter counts a consumer before the feed is open, so that nobody closes it.
func (h *hub) enter(name groupName) *group {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed {
		return nil
	}
	g := h.groups[name]
	if g == nil || name.group == "" {
		g = newGroup(h.driver, name)
		if name.group != "" {
			h.groups[name] = g
		}
	}
	g.consumers++
	return g
}

// leave takes one consumer away. The last one closes the feed, which gives
// back what it holds.
func (h *hub) leave(g *group) {
	h.mu.Lock()
	g.consumers--
	last := g.consumers == 0 && (!h.driver.Local || g.name.group == "")
	if last && h.groups[g.name] == g {
		delete(h.groups, g.name)
	}
	h.mu.Unlock()
	if last {
		g.close()
	}
}

// forget drops groups that were deleted, so that later ones begin anew.
func (h *hub) forget(deleted func(groupName) bool) {
	h.mu.Lock()
	var gone []*group
	for name, g := range h.groups {
		if deleted(name) {
			gone = append(gone, g)
			delete(h.groups, name)
		}
	}
	h.mu.Unlock()
	for _, g := range gone {
		g.remove()
	}
}

// close closes all groups. It takes no longer than the slowest of them.
func (h *hub) close() {
	h.mu.Lock()
	h.closed = true
	all := h.groups
	h.groups = map[groupName]*group{}
	h.mu.Unlock()
	var closing sync.WaitGroup
	for _, g := range all {
		closing.Go(g.close)
	}
	closing.Wait()
}
