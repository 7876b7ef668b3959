package memory

// keyQueues keeps the order of the messages that have the same ordering key.
type keyQueues struct {
	byKey map[string]*keyQueue // the keys of which a message is pending
	count int                  // the waiting messages of all keys
}

// keyQueue holds the sequence numbers of the messages that wait for the pending
// message with their key.
type keyQueue struct{ sequences []uint64 }

func newKeyQueues() keyQueues { return keyQueues{byKey: map[string]*keyQueue{}} }

// waiting returns how many messages wait.
func (k *keyQueues) waiting() int { return k.count }

// acquire reports whether a message may become pending. If an earlier message
// with its key is pending, the message waits. An empty key never waits.
func (k *keyQueues) acquire(key string, sequence uint64) bool {
	if key == "" {
		return true
	}
	queue := k.byKey[key]
	if queue == nil {
		k.byKey[key] = &keyQueue{}
		return true
	}
	queue.sequences = append(queue.sequences, sequence)
	k.count++
	return false
}

// release notes that the pending message of a key is acknowledged. It returns
// the next message of the key, which becomes pending, if one waits.
func (k *keyQueues) release(key string) (next uint64, ok bool) {
	queue := k.byKey[key]
	if queue == nil {
		return 0, false
	}
	if len(queue.sequences) == 0 {
		delete(k.byKey, key)
		return 0, false
	}
	next = queue.sequences[0]
	queue.sequences = queue.sequences[1:]
	k.count--
	return next, true
}

// oldestWaiting returns the lowest sequence number that waits, at most limit.
func (k *keyQueues) oldestWaiting(limit uint64) uint64 {
	oldest := limit
	for _, queue := range k.byKey {
		if len(queue.sequences) > 0 {
			oldest = min(oldest, queue.sequences[0])
		}
	}
	return oldest
}
