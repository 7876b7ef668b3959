package remote

import (
	"context"

	"fairlead.dev"
	"fairlead.dev/plugins/internal/pluginpb/fairlead/plugin/v1"
)

// handle is something that is open in the plugin. In a new session it is
// reopened by the next call.
type handle struct {
	p      *provider
	parent *handle // on which it is opened; nil for the provider
	// openingCall returns the call that opens the handle.
	openingCall func(openReason) (*pluginpb.Call, error)

	// lock is a mutex that can be awaited together with a context. It guards the
	// fields below, and holds one element while it is free.
	lock   chan struct{}
	number uint64 // of the session in which it is open; 0 for none
	id     uint64
	stale  bool // to be reopened, although its session is open
	closed bool
}

// openReason says why a handle is opened.
type openReason int

const (
	firstOpen   openReason = iota
	sameSession            // reopened: what it has read may be lost; see handle.callNext
	newSession             // reopened: what is not stored may be lost
)

// newHandle opens a handle, on the parent if that is not nil.
func newHandle(ctx context.Context, p *provider, parent *handle, openingCall func(openReason) (*pluginpb.Call, error)) (*handle, error) {
	h := &handle{p: p, parent: parent, openingCall: openingCall, lock: make(chan struct{}, 1)}
	h.lock <- struct{}{}
	_, _, err := h.ensureOpen(ctx)
	return h, err
}

// place is a session, and its number in the provider.
type place struct {
	session *Session
	number  uint64
}

// findParent returns the session in which the handle belongs, and its parent's
// id there.
func (h *handle) findParent(ctx context.Context) (place, uint64, error) {
	if h.parent != nil {
		return h.parent.ensureOpen(ctx)
	}
	s, number, err := h.p.currentSession()
	return place{s, number}, 0, err
}

// ensureOpen opens the handle unless it is open in the present session. It
// returns that session, and the handle's id there.
func (h *handle) ensureOpen(ctx context.Context) (place, uint64, error) {
	select {
	case <-h.lock:
	case <-ctx.Done():
		return place{}, 0, fairlead.ContextError(ctx)
	}
	defer func() { h.lock <- struct{}{} }()
	if h.closed {
		return place{}, 0, fairlead.Errorf(fairlead.Closed, "the handle is closed")
	}
	now, parent, err := h.findParent(ctx)
	if err == nil && (now.number != h.number || h.stale) {
		err = h.openInSession(ctx, now, parent)
	}
	return now, h.id, err
}

func (h *handle) openInSession(ctx context.Context, now place, parent uint64) error {
	reason := firstOpen
	switch h.number {
	case 0:
	case now.number:
		reason = sameSession
	default:
		reason = newSession
	}
	c, err := h.openingCall(reason)
	if err != nil {
		return err
	}
	c.Handle = parent
	s := now.session
	r, err := h.p.callInSession(ctx, s, c, false, func(r *pluginpb.Reply) { h.p.closeLate(s, r.Handle) })
	if err == nil {
		h.id, h.number, h.stale = r.Handle, now.number, false
	}
	return err
}

// closeLate closes a handle in the plugin whose caller has gone.
func (p *provider) closeLate(s *Session, id uint64) {
	if id == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), sessionWait)
	defer cancel()
	_, _ = p.callInSession(ctx, s, closeCall(id), false, nil)
}

func closeCall(id uint64) *pluginpb.Call {
	return &pluginpb.Call{Handle: id, Body: &pluginpb.Call_CloseHandle{CloseHandle: &pluginpb.CloseHandle{}}}
}

// callWithHandle makes a call on the handle.
func (h *handle) callWithHandle(ctx context.Context, c *pluginpb.Call, write bool) (*pluginpb.Reply, error) {
	at, id, err := h.ensureOpen(ctx)
	if err != nil {
		return nil, err
	}
	c.Handle = id
	return h.p.callInSession(ctx, at.session, c, write, nil)
}

// callNext makes a call that takes items from the handle, such as the events of a
// watcher. If the caller has gone when the reply arrives, the items are lost and
// the handle with them: the next call reopens it after the items that were read
// before.
func (h *handle) callNext(ctx context.Context, c *pluginpb.Call) (*pluginpb.Reply, error) {
	at, id, err := h.ensureOpen(ctx)
	if err != nil {
		return nil, err
	}
	c.Handle = id
	r, err := callLink(ctx, at.session, c, nil)
	if isReplyMissing(err) {
		h.markStale(at, id)
	}
	return h.p.replyOrError(ctx, c, r, err, false)
}

// markStale makes the next call reopen the handle, and closes it in the plugin.
func (h *handle) markStale(at place, id uint64) {
	<-h.lock
	h.stale = h.stale || h.number == at.number && h.id == id
	h.lock <- struct{}{}
	go h.p.closeLate(at.session, id)
}

// closeHandle closes the handle in the plugin. Without the plugin there is
// nothing to close.
func (h *handle) closeHandle(ctx context.Context) error {
	select {
	case <-h.lock:
	case <-ctx.Done():
		return fairlead.ContextError(ctx)
	}
	was := h.closed
	h.closed = true
	h.lock <- struct{}{}
	s, number, err := h.p.currentSession()
	if was || err != nil || number != h.number {
		return nil
	}
	_, err = h.p.callInSession(ctx, s, closeCall(h.id), false, nil)
	return ignoreEnded(err)
}

// ignoreEnded returns nil for the error of a close if the plugin has closed
// everything already.
func ignoreEnded(err error) error {
	if code := fairlead.CodeOf(err); code == fairlead.Unavailable || code == fairlead.Closed {
		return nil
	}
	return err
}
