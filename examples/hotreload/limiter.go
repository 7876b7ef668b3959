package main

import (
	"sync"
	"time"
)

// limiter allows a number of calls per second, and as many at once. The zero value
// allows none.
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
	// A higher limit takes effect at once.
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

// refill adds the tokens for the time since the last call.
func (l *limiter) refill() {
	now := time.Now()
	if !l.last.IsZero() {
		l.tokens += now.Sub(l.last).Seconds() * l.rate
	}
	l.last, l.tokens = now, min(l.tokens, l.rate)
}
