package memory

import "time"

// recentIDs holds the message ids of the dedupe window.
type recentIDs struct {
	window    time.Duration
	sequences map[string]uint64 // by id
	queue     []recentID        // the oldest first
}

// recentID is an id with the time at which its message was stored.
type recentID struct {
	id     string
	stored time.Time
}

func newRecentIDs(window time.Duration) recentIDs {
	return recentIDs{window: window, sequences: map[string]uint64{}}
}

// find returns the sequence number of the message with an id.
func (r *recentIDs) find(id string) (sequence uint64, found bool) {
	sequence, found = r.sequences[id]
	return sequence, found
}

func (r *recentIDs) add(id string, sequence uint64, now time.Time) {
	r.sequences[id] = sequence
	r.queue = append(r.queue, recentID{id, now})
}

// removeExpired removes the ids that are older than the window.
func (r *recentIDs) removeExpired(now time.Time) {
	for len(r.queue) > 0 && now.Sub(r.queue[0].stored) >= r.window {
		delete(r.sequences, r.queue[0].id)
		r.queue = r.queue[1:]
	}
}
