package redis

import (
	"context"
	"sync"
	"time"
)

// go-redis notices the end of a context while it waits for a connection, and a
// context's deadline while it waits for a reply, but no cancellation. To end
// the wait, the connection has to know the context of the call that it
// carries, and go-redis does not pass it on. One more goroutine for each call
// would cost a single caller a quarter of its speed.
//
// So a call is identified by its deadline: go-redis passes the deadline of the
// context to the connection unchanged, and the deadline's time zone is one that
// no other running call has.

// call is the context of one running call.
type call struct {
	context.Context
	deadline time.Time
	zone     *callZone
}

// beginCall returns the context of a call, which lasts for timeout at most. The
// caller must call end.
func beginCall(ctx context.Context, timeout time.Duration) *call {
	c := &call{Context: ctx, deadline: time.Now().Add(timeout), zone: zones.acquire()}
	if d, ok := ctx.Deadline(); ok && d.Before(c.deadline) {
		c.deadline = d
	}
	c.deadline = c.deadline.In(&c.zone.location)
	c.zone.set(c)
	return c
}

// Deadline implements context.Context.
func (c *call) Deadline() (time.Time, bool) { return c.deadline, true }

// ended reports whether the caller no longer waits.
func (c *call) ended() bool { return c.Err() != nil || !time.Now().Before(c.deadline) }

func (c *call) end() {
	c.zone.set(nil)
	zones.release(c.zone)
}

// callZone is a time zone that identifies the call that has it.
type callZone struct {
	location time.Location

	mu   sync.Mutex
	call *call
}

func (z *callZone) set(c *call) {
	z.mu.Lock()
	defer z.mu.Unlock()
	z.call = c
}

func (z *callZone) get() *call {
	z.mu.Lock()
	defer z.mu.Unlock()
	return z.call
}

// zonePool holds as many zones as there were calls at one time.
type zonePool struct {
	byLocation sync.Map // *time.Location to *callZone

	mu   sync.Mutex
	free []*callZone
}

var zones zonePool

func (p *zonePool) acquire() *callZone {
	p.mu.Lock()
	defer p.mu.Unlock()
	if n := len(p.free); n > 0 {
		z := p.free[n-1]
		p.free = p.free[:n-1]
		return z
	}
	z := &callZone{}
	p.byLocation.Store(&z.location, z)
	return z
}

func (p *zonePool) release(z *callZone) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.free = append(p.free, z)
}

// callOf returns the call whose deadline it is, or nil.
func (p *zonePool) callOf(deadline time.Time) *call {
	z, ok := p.byLocation.Load(deadline.Location())
	if !ok {
		return nil
	}
	return z.(*callZone).get()
}
