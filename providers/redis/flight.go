package redis

import (
	"context"
	"sync"
	"time"
)

// go-redis notices the end of a context while it waits for a connection, and a
// context's deadline while it waits for an answer, but no cancellation. To end
// the wait, the connection has to know the context of the call that it
// carries, and go-redis does not tell. Another goroutine for each call would
// cost a lone caller a quarter of its speed.
//
// So a call carries its name in its deadline: go-redis hands the deadline of
// the context to the connection as it is, and its time zone is one that no
// other call under way has.

// flight is the context of one call.
type flight struct {
	context.Context
	deadline time.Time
	zone     *zone
}

// takeOff begins a call, which lasts for limit at most. The caller must land it.
func takeOff(ctx context.Context, limit time.Duration) *flight {
	f := &flight{Context: ctx, deadline: time.Now().Add(limit), zone: zones.take()}
	if d, ok := ctx.Deadline(); ok && d.Before(f.deadline) {
		f.deadline = d
	}
	f.deadline = f.deadline.In(&f.zone.name)
	f.zone.set(f)
	return f
}

// Deadline implements context.Context.
func (f *flight) Deadline() (time.Time, bool) { return f.deadline, true }

// over reports whether nobody waits for the call any more.
func (f *flight) over() bool { return f.Err() != nil || !time.Now().Before(f.deadline) }

func (f *flight) land() {
	f.zone.set(nil)
	zones.giveBack(f.zone)
}

// zone is a time zone that stands for the call that has it.
type zone struct {
	name time.Location

	mu     sync.Mutex
	flight *flight
}

func (z *zone) set(f *flight) {
	z.mu.Lock()
	defer z.mu.Unlock()
	z.flight = f
}

func (z *zone) get() *flight {
	z.mu.Lock()
	defer z.mu.Unlock()
	return z.flight
}

// zonePool has as many zones as there ever were calls at a time.
type zonePool struct {
	byName sync.Map // *time.Location to *zone

	mu   sync.Mutex
	free []*zone
}

var zones zonePool

func (p *zonePool) take() *zone {
	p.mu.Lock()
	defer p.mu.Unlock()
	if n := len(p.free); n > 0 {
		z := p.free[n-1]
		p.free = p.free[:n-1]
		return z
	}
	z := &zone{}
	p.byName.Store(&z.name, z)
	return z
}

func (p *zonePool) giveBack(z *zone) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.free = append(p.free, z)
}

// flight returns the call whose deadline it is, or nil.
func (p *zonePool) flight(deadline time.Time) *flight {
	z, ok := p.byName.Load(deadline.Location())
	if !ok {
		return nil
	}
	return z.(*zone).get()
}
