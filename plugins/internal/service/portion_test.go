package service

import (
	"context"
	"errors"
	"reflect"
	"slices"
	"strings"
	"testing"

	"fairlead.dev"
	kvdriver "fairlead.dev/kv/driver"
	psdriver "fairlead.dev/pubsub/driver"
)

// large holds all large values. No test reads its bytes, so it takes no memory.
var large = make([]byte, maxReplyBytes+maxReplyBytes/2)

// mebibytes returns n MiB.
func mebibytes(n int) []byte { return large[: n<<20 : n<<20] }

// TestCountFitting shows that a reply takes the items that fit, and at least one.
func TestCountFitting(t *testing.T) {
	const all = maxReplyBytes >> 20
	for _, c := range []struct {
		sizes []int // in MiB
		want  int
	}{
		{nil, 0},
		{[]int{1}, 1},
		{[]int{all + 1}, 1}, // an item that never fits is sent on its own
		{[]int{all + 1, 0}, 1},
		{[]int{all, 0, 0}, 3},
		{[]int{all, 1}, 1},
		{[]int{1, all - 1, 1}, 2},
		{[]int{1, all + 1, 1}, 1},
		{[]int{1, 1, 1}, 3},
	} {
		if got := countFitting(c.sizes, func(n int) int { return n << 20 }); got != c.want {
			t.Errorf("%d of the items of %v MiB fit in one reply, want %d", got, c.sizes, c.want)
		}
	}
}

// TestLimitValues shows that values which do not fit must be read again, and that
// results without a value, above all the results of writes, are unchanged.
func TestLimitValues(t *testing.T) {
	failed := fairlead.Errorf(fairlead.NotFound, "why")
	for name, c := range map[string]struct {
		results []kvdriver.Result
		out     []int // the results that do not fit
	}{
		"all fit": {[]kvdriver.Result{{Value: mebibytes(100)}, {Value: mebibytes(100)}, {Revision: "3"}}, nil},
		"the first one fits, whatever its size": {
			[]kvdriver.Result{{Value: mebibytes(300), Revision: "1"}, {Value: mebibytes(1), Revision: "2"}}, []int{1},
		},
		"writes, failures and empty values": {
			[]kvdriver.Result{
				{Revision: "1"}, {Value: mebibytes(200), Revision: "2"}, {Value: mebibytes(100), Revision: "3"},
				{Revision: "4"}, {Err: failed}, {Value: []byte{}, Revision: "6"}, {Value: mebibytes(1), Revision: "7"},
			},
			[]int{2, 6},
		},
	} {
		t.Run(name, func(t *testing.T) {
			got := slices.Clone(c.results)
			limitValues(got)
			for i, r := range got {
				out := fairlead.CodeOf(r.Err) == fairlead.TooLarge && r.Value == nil && r.Revision == ""
				if want := slices.Contains(c.out, i); out != want || !out && !equalResults(r, c.results[i]) {
					t.Errorf("the result %d is replaced: %v, want %v; %d bytes, revision %q, %v", i, out, want, len(r.Value), r.Revision, r.Err)
				}
			}
		})
	}
}

// equalResults compares the lengths of values only: they are large.
func equalResults(a, b kvdriver.Result) bool {
	return len(a.Value) == len(b.Value) && a.Revision == b.Revision && a.Err == b.Err
}

// replies has the names of the items in each reply, or "?" for an error.
type replies []string

// TestWatchKeepsLeftover shows that events which do not fit are in the next
// replies, that events of one revision stay together, and that the driver is
// called again only after all have been sent.
func TestWatchKeepsLeftover(t *testing.T) {
	for name, c := range map[string]struct {
		driver [][]kvdriver.Event // what each Next returns; an error if empty
		want   replies
	}{
		"all fit": {
			[][]kvdriver.Event{{newEvent("a", 100), newEvent("b", 100)}, {newEvent("c", 300)}},
			replies{"ab", "c"},
		},
		"the rest is in the next replies": {
			[][]kvdriver.Event{{newEvent("a", 100), newEvent("b", 100), newEvent("c", 100), newEvent("d", 200), newEvent("e", 1)}, {newEvent("f", 1)}},
			replies{"ab", "c", "de", "f"},
		},
		"a transaction stays together": {
			[][]kvdriver.Event{{newEvent("a", 100), newEvent("b", 100), newEvent("b", 100), newEvent("b", 100), newEvent("c", 1), newEvent("d", 1)}},
			replies{"abbb", "cd"},
		},
		"a transaction in the rest stays together": {
			[][]kvdriver.Event{{newEvent("a", 300), newEvent("b", 200), newEvent("b", 200), newEvent("c", 1)}, {newEvent("d", 1)}},
			replies{"a", "bb", "c", "d"},
		},
		"an error is returned, and the rest is not lost": {
			[][]kvdriver.Event{{}, {newEvent("a", 200), newEvent("b", 200)}, {}, {newEvent("c", 1)}},
			replies{"?", "a", "b", "?", "c"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFakeProvider(fairlead.Limits{})
			f.next = func(context.Context) ([]kvdriver.Event, error) { return popFront(&c.driver) }
			w := &watcher{Watcher: fakeWatcher{f}}
			var got replies
			for range c.want {
				events, err := w.nextPortion(t.Context())
				got = append(got, joinNames(events, err, func(e kvdriver.Event) string { return string(e.Revision) }))
			}
			if !reflect.DeepEqual(got, c.want) || len(c.driver) > 0 {
				t.Errorf("the replies are %q, want %q; the driver was not called for %d batches", got, c.want, len(c.driver))
			}
		})
	}
}

func newEvent(revision string, size int) kvdriver.Event {
	return kvdriver.Event{Kind: kvdriver.PutEvent, Value: mebibytes(size), Revision: kvdriver.Revision(revision)}
}

var errTransient = errors.New("transient")

// popFront removes the first element. If it is empty or missing, that is an error.
func popFront[T any](all *[][]T) ([]T, error) {
	if len(*all) == 0 {
		return nil, errTransient
	}
	first := (*all)[0]
	if *all = (*all)[1:]; len(first) == 0 {
		return nil, errTransient
	}
	return first, nil
}

func joinNames[T any](all []T, err error, name func(T) string) string {
	if err != nil {
		return "?"
	}
	var names strings.Builder
	for _, one := range all {
		names.WriteString(name(one))
	}
	return names.String()
}

// TestSubscriptionKeepsLeftover shows that messages which do not fit are in the
// next replies, and that no reply exceeds its own limit.
func TestSubscriptionKeepsLeftover(t *testing.T) {
	f := newFakeProvider(fairlead.Limits{})
	left := [][]psdriver.Delivery{
		{newDelivery("a", 100), newDelivery("b", 100), newDelivery("c", 100), newDelivery("d", 10), newDelivery("e", 200), newDelivery("f", 100)},
		{}, {newDelivery("g", 1)},
	}
	var asked []int
	f.receive = func(_ context.Context, limit int) ([]psdriver.Delivery, error) {
		asked = append(asked, limit)
		return popFront(&left)
	}
	s := &subscription{Subscription: fakeSubscription{f}}
	for _, c := range []struct {
		limit int
		want  string
	}{
		{6, "ab"},  // no more fit
		{1, "c"},   // a smaller limit
		{10, "de"}, // a greater limit; no more fit
		{10, "f"},  // the last one that is left; none is added
		{7, "?"},
		{8, "g"},
	} {
		ds, err := s.receivePortion(t.Context(), c.limit)
		if got := joinNames(ds, err, func(d psdriver.Delivery) string { return d.ID }); got != c.want {
			t.Errorf("with the limit %d the reply has %q, want %q", c.limit, got, c.want)
		}
	}
	if want := []int{6, 7, 8}; !slices.Equal(asked, want) {
		t.Errorf("the driver was called with the limits %v, want %v", asked, want)
	}
}

func newDelivery(id string, size int) psdriver.Delivery {
	return psdriver.Delivery{ID: id, Body: mebibytes(size)}
}

// TestAllOfAMessageCounts shows that the size of a message counts all of its
// parts: the body may be the smallest.
func TestAllOfAMessageCounts(t *testing.T) {
	d := psdriver.Delivery{ID: "1", Key: "22", Body: []byte("333"), Metadata: map[string]string{"4444": "55555"}}
	if got := deliverySize(d); got != 15 {
		t.Errorf("the size of the message is %d, want 15", got)
	}
}
