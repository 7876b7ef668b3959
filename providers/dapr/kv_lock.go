package dapr

import (
	"context"
	"sync"
)

// keyLocks serialize the writers of one process that write the same key. If they
// wrote at once, only one of them would succeed.
type keyLocks struct {
	mu    sync.Mutex
	locks map[string]*keyLock
}

// keyLock is the lock of a key that has a holder or waiters.
type keyLock struct {
	free  chan struct{} // holds a token while the lock is free
	users int
}

// lock locks a key, or fails when ctx ends. It reports whether it had to wait.
func (l *keyLocks) lock(ctx context.Context, key string) (unlock func(), waited bool, err error) {
	k := l.enter(key)
	unlock = func() { k.free <- struct{}{}; l.leave(key, k) }
	select {
	case <-k.free:
		return unlock, false, nil
	default:
	}
	select {
	case <-k.free:
		return unlock, true, nil
	case <-ctx.Done():
		l.leave(key, k)
		return nil, true, ctx.Err()
	}
}

func (l *keyLocks) enter(key string) *keyLock {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.locks == nil {
		l.locks = map[string]*keyLock{}
	}
	k := l.locks[key]
	if k == nil {
		k = &keyLock{free: make(chan struct{}, 1)}
		k.free <- struct{}{}
		l.locks[key] = k
	}
	k.users++
	return k
}

func (l *keyLocks) leave(key string, k *keyLock) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if k.users--; k.users == 0 {
		delete(l.locks, key)
	}
}
