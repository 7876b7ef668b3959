package etcd

import (
	"fmt"
	"maps"
	"testing"
	"time"

	"fairlead.dev"
	"fairlead.dev/pubsub/driver"
)

func FuzzDecodeMessage(f *testing.F) {
	f.Add(encodeMessage(driver.Message{ID: "id", Key: "k", Body: []byte("b"), Metadata: map[string]string{"a": "1", "": ""}}, time.UnixMilli(1234)))
	f.Add([]byte{})
	f.Add([]byte{1, 200, 1, 3})
	f.Fuzz(func(t *testing.T, stored []byte) {
		d, err := decodeMessage(stored)
		if err != nil {
			return
		}
		m := driver.Message{ID: d.ID, Key: d.Key, Body: d.Body, Metadata: d.Metadata}
		again, err := decodeMessage(encodeMessage(m, d.Time))
		if err != nil || again.ID != d.ID || again.Key != d.Key || string(again.Body) != string(d.Body) || !maps.Equal(again.Metadata, d.Metadata) || !again.Time.Equal(d.Time) {
			t.Errorf("%+v became %+v, %v", d, again, err)
		}
	})
}

func testConsumer(name string) *consumer {
	return &consumer{name: name, lease: time.Second, skew: 100 * time.Millisecond, held: map[uint64]bool{}}
}

// take hands out the messages that are due, and holds them.
func (c *consumer) take(st *groupState, now time.Time) (numbers []uint64) {
	for _, i := range st.dueIndexes(c, now, 10) {
		p := st.leaseTo(i, c, now)
		c.held[p.Lease] = true
		numbers = append(numbers, p.Number)
	}
	return numbers
}

func TestLeasesOfOthersEndLater(t *testing.T) {
	now := time.UnixMilli(1_000_000)
	a, b := testConsumer("a"), testConsumer("b")
	st := groupState{Next: 1}
	st.addNext(1, "")
	if got := a.take(&st, now); fmt.Sprint(got) != "[1]" {
		t.Fatalf("a gets %v", got)
	}
	for after, want := range map[time.Duration]string{999 * time.Millisecond: "", 1099 * time.Millisecond: "", 1100 * time.Millisecond: "[1]"} {
		if got := st.dueIndexes(b, now.Add(after), 10); (len(got) > 0) != (want != "") {
			t.Errorf("after %v b finds %v", after, got)
		}
	}
	if got := b.take(&st, now.Add(2*time.Second)); fmt.Sprint(got) != "[1]" {
		t.Errorf("b gets %v", got)
	}
	err := st.settle(a, driver.Settlement{Token: a.token(1), Kind: driver.Ack}, now)
	if fairlead.CodeOf(err) != fairlead.Conflict {
		t.Errorf("a acknowledges a message that b holds: %v", err)
	}
	if err := st.settle(b, driver.Settlement{Token: b.token(2), Kind: driver.Ack}, now); err != nil || len(st.Pending) > 0 {
		t.Errorf("b: %v, %+v", err, st)
	}
}

// TestLeaseThatWasNeverHeardOf: the answer that carried a message was lost, so that
// the consumer does not know its lease.
func TestLeaseThatWasNeverHeardOf(t *testing.T) {
	now := time.UnixMilli(1_000_000)
	a := testConsumer("a")
	st := groupState{Next: 1}
	st.addNext(1, "")
	st.leaseTo(0, a, now)
	if got := a.take(&st, now); fmt.Sprint(got) != "[1]" || st.Pending[0].Attempt != 2 {
		t.Errorf("a gets %v, %+v", got, st)
	}
	if got := a.take(&st, now); got != nil {
		t.Errorf("a gets messages that it holds: %v", got)
	}
}

func TestLanes(t *testing.T) {
	now := time.UnixMilli(1_000_000)
	a := testConsumer("a")
	st := groupState{Next: 1}
	for n, key := range []string{"x", "x", "y", "x", ""} {
		st.addNext(uint64(n+1), key)
	}
	if got := a.take(&st, now); fmt.Sprint(got) != "[1 3 5]" || st.countWaiting() != 2 || st.oldestNeeded() != 1 {
		t.Fatalf("a gets %v, %+v", got, st)
	}
	for _, s := range []driver.Settlement{{Token: "1", Kind: driver.Ack}, {Token: "2", Kind: driver.Ack}} {
		if err := st.settle(a, s, now); err != nil {
			t.Fatal(err)
		}
	}
	if got := a.take(&st, now); fmt.Sprint(got) != "[2]" || st.oldestNeeded() != 2 {
		t.Errorf("a gets %v, %+v", got, st)
	}
	if again, err := decodeState(st.encode()); err != nil || fmt.Sprint(again) != fmt.Sprint(st) {
		t.Errorf("%+v became %+v, %v", st, again, err)
	}
}
