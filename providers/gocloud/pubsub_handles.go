package gocloud

import (
	"context"
	"sync"

	"fairlead.dev"
)

// openHandles holds what is open of a backend in this process: handles for
// publishing, and groups. A
// group of a Local backend stays open as long as openHandles; every other one as
// long as it has a consumer.
type openHandles struct {
	driver *PubSub

	mu         sync.Mutex
	byName     map[groupName]*group
	broadcasts map[*group]bool // each is a group without a name
	topics     map[*topic]bool // open handles for publishing
	closed     bool
}

type groupName struct{ topic, group string }

func newOpenHandles(d *PubSub) *openHandles {
	return &openHandles{driver: d, byName: map[groupName]*group{}, broadcasts: map[*group]bool{}, topics: map[*topic]bool{}}
}

// join returns the group of a name with one more consumer. The subscription of
// the group is open then.
func (h *openHandles) join(ctx context.Context, topic, name string) (*group, error) {
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
func (h *openHandles) addConsumer(name groupName) *group {
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
		} else {
			h.broadcasts[g] = true
		}
	}
	g.consumers++
	return g
}

// leave removes a consumer. The last one closes the group, which gives its
// messages back.
func (h *openHandles) leave(g *group) {
	h.mu.Lock()
	g.consumers--
	last := g.consumers == 0 && (!h.driver.Local || g.name.group == "")
	if last && h.byName[g.name] == g {
		delete(h.byName, g.name)
	}
	if last {
		delete(h.broadcasts, g)
	}
	h.mu.Unlock()
	if last {
		g.close()
	}
}

// removeDeleted closes a group that was deleted. A group that is opened with the
// same name later is a new one.
func (h *openHandles) removeDeleted(name groupName) {
	h.mu.Lock()
	g := h.byName[name]
	delete(h.byName, name)
	h.mu.Unlock()
	if g != nil {
		g.closeDeleted()
	}
}

// restartTopic makes the handles of a topic that was deleted continue with a new
// one. Groups without a consumer are closed.
func (h *openHandles) restartTopic(ctx context.Context, name string) {
	h.mu.Lock()
	var topics []*topic
	for t := range h.topics {
		if t.name == name {
			topics = append(topics, t)
		}
	}
	kept, gone := h.groupsOf(name)
	h.mu.Unlock()
	for _, t := range topics {
		t.discard(nil)
	}
	for _, g := range kept {
		g.restart(ctx)
	}
	for _, g := range gone {
		g.closeDeleted()
	}
}

// groupsOf returns the groups of a topic, those with consumers first. It removes
// the other ones. The groups are locked.
func (h *openHandles) groupsOf(topic string) (consumed, idle []*group) {
	for name, g := range h.byName {
		switch {
		case name.topic != topic:
		case g.consumers > 0:
			consumed = append(consumed, g)
		default:
			idle = append(idle, g)
			delete(h.byName, name)
		}
	}
	for g := range h.broadcasts {
		if g.name.topic == topic {
			consumed = append(consumed, g)
		}
	}
	return consumed, idle
}

// addTopic and removeTopic keep the set of open handles for publishing.
func (h *openHandles) addTopic(t *topic) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.topics[t] = true
}

func (h *openHandles) removeTopic(t *topic) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.topics, t)
}

// close closes all groups concurrently.
func (h *openHandles) close() {
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
