package dapr

import (
	"bytes"
	"strconv"
	"time"

	"fairlead.dev"
	"fairlead.dev/pubsub/driver"
)

// leaseTo gives a ready item to a handle. The lock is held.
func (f *feed) leaseTo(s *subscription, it *item) driver.Delivery {
	f.tokens++
	token := f.tokens
	it.holder, it.token = s, token
	it.lease = time.AfterFunc(s.deadline, func() { f.expire(token) })
	f.leased[token] = it
	d := it.delivery()
	d.Body = bytes.Clone(it.event.GetData())
	d.Token = strconv.FormatUint(token, 10)
	return d
}

// expire ends a lease.
func (f *feed) expire(token uint64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if it := f.release(token); it != nil {
		f.offer(it)
	}
}

// release takes an item from its holder, and returns nil if it has none by
// that token. The lock is held.
func (f *feed) release(token uint64) *item {
	it := f.leased[token]
	if it == nil {
		return nil
	}
	delete(f.leased, token)
	it.lease.Stop()
	it.holder = nil
	return it
}

// giveBack makes all items of a handle ready for others.
func (f *feed) giveBack(s *subscription) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for token, it := range f.leased {
		if it.holder == s {
			f.offer(f.release(token))
		}
	}
}

// settle carries out settlements of a handle.
func (f *feed) settle(s *subscription, all []driver.Settlement) []error {
	errs := make([]error, len(all))
	answers := map[*link][]string{}
	f.mu.Lock()
	for i, one := range all {
		it, err := f.settleOne(s, one)
		if errs[i] = err; it != nil && it.link != nil {
			answers[it.link] = append(answers[it.link], it.id)
		}
	}
	f.mu.Unlock()
	for l, ids := range answers {
		l.answer(ids...)
	}
	return errs
}

// settleOne returns the item if it is to be answered. The lock is held.
func (f *feed) settleOne(s *subscription, one driver.Settlement) (*item, error) {
	token, err := strconv.ParseUint(one.Token, 10, 64)
	if err != nil {
		return nil, invalid("%.40q is no token of a delivery", one.Token)
	}
	if it := f.leased[token]; it == nil || it.holder != s {
		return nil, fairlead.Errorf(fairlead.Conflict, "the lease has ended or the delivery was settled before")
	}
	switch one.Kind {
	case driver.Ack:
		return f.ack(f.release(token)), nil
	case driver.Nack:
		f.offer(f.release(token))
		return nil, nil
	default:
		return nil, fairlead.Errorf(fairlead.Unsupported, "a settlement of the kind %d; a lease cannot be extended over Dapr", one.Kind)
	}
}

// maxSettled is how many acknowledged events a feed remembers: the runtime may
// have taken one for lost, and deliver it once more.
const maxSettled = 8192

// ack returns the item if it can be answered now. Otherwise its event comes
// again, and is then acknowledged at once. The lock is held.
func (f *feed) ack(it *item) *item {
	it.settled, it.came = true, time.Now()
	it.event = nil // it is remembered for long, its body need not be
	if it.link == nil || it.renewing {
		return nil
	}
	f.remember(it)
	return it
}

// remember notes that an item was answered. The lock is held.
func (f *feed) remember(it *item) {
	it.answered = true
	if f.recent = append(f.recent, it.uid); len(f.recent) > maxSettled {
		if old := f.items[f.recent[0]]; old != nil && old.answered {
			delete(f.items, f.recent[0])
		}
		f.recent = f.recent[1:]
	}
}
