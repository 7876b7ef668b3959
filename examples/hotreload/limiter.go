package main

import (
	"sync"
	"time"
)

// limiter lets so many calls a second through, and as many at once. The zero
// value lets none through.
type limiter struct {
	mu     sync.Mutex
	rate   float64
	tokens float64
	last   time.Time
}

func (l *limiter) set(perSecond int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.refill()
	// Whoever raises the limit wants to see it at once.
	l.tokens += max(0, float64(perSecond)-l.rate)
	l.rate = float64(perSecond)
}

func (l *limiter) allow() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.refill(); l.tokens < 1 {
		return false
	}
	l.tokens--
	return true
}

// refill adds what has come in since the last call.
func (l *limiter) refill() {
	now := time.Now()
	if !l.last.IsZero() {
		l.tokens += now.Sub(l.last).Seconds() * l.rate
	}
	l.last, l.tokens = now, min(l.tokens, l.rate)
}
