package remote

import (
	"context"

	"fairlead.dev"
	"fairlead.dev/plugins/internal/pluginpb/fairlead/plugin/v1"
)

// handle is something that is open in the plugin, and is opened anew in a new
// session.
type handle struct {
	p      *provider
	parent *handle // on which it is opened; nil for the provider
	// open returns the call that opens it.
	open func(occasion) (*pluginpb.Call, error)

	turn   chan struct{} // holds the right to look at what follows
	number uint64        // of the session in which it is open; 0 for none
	id     uint64
	stale  bool // to be opened anew, although its session lives
	closed bool
}

// occasion says why a handle is opened.
type occasion int

const (
	first   occasion = iota
	again            // what it has read may be lost; see handle.read
	another          // session: what is not stored may be lost
)

// newHandle opens a handle, on another one if parent is not nil.
func newHandle(ctx context.Context, p *provider, parent *handle, open func(occasion) (*pluginpb.Call, error)) (*handle, error) {
	h := &handle{p: p, parent: parent, open: open, turn: make(chan struct{}, 1)}
	h.turn <- struct{}{}
	_, _, err := h.at(ctx)
	return h, err
}

// place is where a handle is open.
type place struct {
	session *Session
	number  uint64
}

// where returns where the handle is to be open, and its parent's id there.
func (h *handle) where(ctx context.Context) (place, uint64, error) {
	if h.parent != nil {
		return h.parent.at(ctx)
	}
	s, number, err := h.p.current()
	return place{s, number}, 0, err
}

// at returns where the handle is open, and its id there.
func (h *handle) at(ctx context.Context) (place, uint64, error) {
	select {
	case <-h.turn:
	case <-ctx.Done():
		return place{}, 0, fairlead.ContextError(ctx)
	}
	defer func() { h.turn <- struct{}{} }()
	if h.closed {
		return place{}, 0, fairlead.Errorf(fairlead.Closed, "the handle is closed")
	}
	now, parent, err := h.where(ctx)
	if err == nil && (now.number != h.number || h.stale) {
		err = h.openIn(ctx, now, parent)
	}
	return now, h.id, err
}

func (h *handle) openIn(ctx context.Context, now place, parent uint64) error {
	why := first
	switch h.number {
	case 0:
	case now.number:
		why = again
	default:
		why = another
	}
	c, err := h.open(why)
	if err != nil {
		return err
	}
	c.Handle = parent
	s := now.session
	r, err := h.p.do(ctx, s, c, false, func(r *pluginpb.Reply) { h.p.release(s, r.Handle) })
	if err == nil {
		h.id, h.number, h.stale = r.Handle, now.number, false
	}
	return err
}

// release closes a handle that nobody waits for any more.
func (p *provider) release(s *Session, id uint64) {
	if id == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	_, _ = p.do(ctx, s, closing(id), false, nil)
}

func closing(id uint64) *pluginpb.Call {
	return &pluginpb.Call{Handle: id, Body: &pluginpb.Call_CloseHandle{CloseHandle: &pluginpb.CloseHandle{}}}
}

// call makes a call on the handle.
func (h *handle) call(ctx context.Context, c *pluginpb.Call, write bool) (*pluginpb.Reply, error) {
	at, id, err := h.at(ctx)
	if err != nil {
		return nil, err
	}
	c.Handle = id
	return h.p.do(ctx, at.session, c, write, nil)
}

// read makes a call that takes something out of what the handle stands for. If
// nobody is there any more when the reply comes, what was taken is lost with the
// handle: the next call opens it anew, behind what was read before.
func (h *handle) read(ctx context.Context, c *pluginpb.Call) (*pluginpb.Reply, error) {
	at, id, err := h.at(ctx)
	if err != nil {
		return nil, err
	}
	c.Handle = id
	r, err := exchange(ctx, at.session, c, nil)
	if underWay(err) {
		h.forget(at, id)
	}
	return h.p.outcome(ctx, r, err, false)
}

func (h *handle) forget(at place, id uint64) {
	<-h.turn
	h.stale = h.stale || h.number == at.number && h.id == id
	h.turn <- struct{}{}
	go h.p.release(at.session, id)
}

// close releases the handle in the plugin. If that is not there, nothing is.
func (h *handle) close(ctx context.Context) error {
	select {
	case <-h.turn:
	case <-ctx.Done():
		return fairlead.ContextError(ctx)
	}
	was := h.closed
	h.closed = true
	h.turn <- struct{}{}
	s, number, err := h.p.current()
	if was || err != nil || number != h.number {
		return nil
	}
	_, err = h.p.do(ctx, s, closing(h.id), false, nil)
	if code := fairlead.CodeOf(err); code == fairlead.Unavailable || code == fairlead.Closed {
		return nil
	}
	return err
}
