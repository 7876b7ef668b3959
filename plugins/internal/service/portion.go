package service

import "sync"

// room is how many bytes one reply carries; one value, message or transaction
// may have more. It is far below the greatest length of a frame.
const room = 256 << 20

// portion returns how many of all, at least one, go in one reply.
func portion[T any](all []T, size func(T) int) int {
	bytes := 0
	for i, one := range all {
		if bytes += size(one); bytes > room && i > 0 {
			return i
		}
	}
	return len(all)
}

// rest keeps what found no room in a reply for the next one.
type rest[T any] struct {
	mu  sync.Mutex
	all []T
}

// next returns what is left over, else what more returns; of it as many as first
// says.
func (r *rest[T]) next(more func() ([]T, error), first func([]T) int) ([]T, error) {
	if all := r.take(first); all != nil {
		return all, nil
	}
	all, err := more()
	if err != nil || len(all) == 0 {
		return all, err
	}
	n := first(all)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.all = append(r.all, all[n:]...)
	return all[:n:n], nil
}

func (r *rest[T]) take(first func([]T) int) []T {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.all) == 0 {
		return nil
	}
	n := first(r.all)
	all := r.all[:n:n]
	if r.all = r.all[n:]; len(r.all) == 0 {
		r.all = nil
	}
	return all
}
