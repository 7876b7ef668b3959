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

// large is what all large values are parts of. Nobody looks into it, so that it
// takes no memory.
var large = make([]byte, room+room/2)

// mib returns so many MiB.
func mib(n int) []byte { return large[: n<<20 : n<<20] }

// TestPortion shows that a reply has as much as finds room, and one item at
// least.
func TestPortion(t *testing.T) {
	const all = room >> 20
	for _, c := range []struct {
		sizes []int // in MiB
		want  int
	}{
		{nil, 0},
		{[]int{1}, 1},
		{[]int{all + 1}, 1}, // what has no room at all goes alone
		{[]int{all + 1, 0}, 1},
		{[]int{all, 0, 0}, 3},
		{[]int{all, 1}, 1},
		{[]int{1, all - 1, 1}, 2},
		{[]int{1, all + 1, 1}, 1},
		{[]int{1, 1, 1}, 3},
	} {
		if got := portion(c.sizes, func(n int) int { return n << 20 }); got != c.want {
			t.Errorf("of %v MiB, %d go in one reply, want %d", c.sizes, got, c.want)
		}
	}
}

// TestCrowdOut shows that values without room are to be read again, and that
// nothing happens to what has none: the results of writes above all.
func TestCrowdOut(t *testing.T) {
	failed := fairlead.Errorf(fairlead.NotFound, "why")
	for name, c := range map[string]struct {
		results []kvdriver.Result
		out     []int // are crowded out
	}{
		"room for all": {[]kvdriver.Result{{Value: mib(100)}, {Value: mib(100)}, {Revision: "3"}}, nil},
		"the first one has room, whatever its size": {
			[]kvdriver.Result{{Value: mib(300), Revision: "1"}, {Value: mib(1), Revision: "2"}}, []int{1},
		},
		"writes, failures and empty values": {
			[]kvdriver.Result{
				{Revision: "1"}, {Value: mib(200), Revision: "2"}, {Value: mib(100), Revision: "3"},
				{Revision: "4"}, {Err: failed}, {Value: []byte{}, Revision: "6"}, {Value: mib(1), Revision: "7"},
			},
			[]int{2, 6},
		},
	} {
		t.Run(name, func(t *testing.T) {
			got := slices.Clone(c.results)
			crowdOut(got)
			for i, r := range got {
				out := fairlead.CodeOf(r.Err) == fairlead.TooLarge && r.Value == nil && r.Revision == ""
				if want := slices.Contains(c.out, i); out != want || !out && !same(r, c.results[i]) {
					t.Errorf("the result %d is crowded out: %v, want %v; %d bytes, revision %q, %v", i, out, want, len(r.Value), r.Revision, r.Err)
				}
			}
		})
	}
}

// same does not look into values: they are large.
func same(a, b kvdriver.Result) bool {
	return len(a.Value) == len(b.Value) && a.Revision == b.Revision && a.Err == b.Err
}

// replies are what replies have: the names of items, and "?" for an error.
type replies []string

// TestWatchKeepsTheRest shows that events without room come with the next
// replies, that those of one revision come together, and that the driver is
// asked again only when all have come.
func TestWatchKeepsTheRest(t *testing.T) {
	for name, c := range map[string]struct {
		driver [][]kvdriver.Event // what each Next returns; an error if empty
		want   replies
	}{
		"room for all": {
			[][]kvdriver.Event{{event("a", 100), event("b", 100)}, {event("c", 300)}},
			replies{"ab", "c"},
		},
		"the rest comes next": {
			[][]kvdriver.Event{{event("a", 100), event("b", 100), event("c", 100), event("d", 200), event("e", 1)}, {event("f", 1)}},
			replies{"ab", "c", "de", "f"},
		},
		"a transaction stays together": {
			[][]kvdriver.Event{{event("a", 100), event("b", 100), event("b", 100), event("b", 100), event("c", 1), event("d", 1)}},
			replies{"abbb", "cd"},
		},
		"a transaction in the rest, too": {
			[][]kvdriver.Event{{event("a", 300), event("b", 200), event("b", 200), event("c", 1)}, {event("d", 1)}},
			replies{"a", "bb", "c", "d"},
		},
		"an error goes through, and the rest is not lost": {
			[][]kvdriver.Event{{}, {event("a", 200), event("b", 200)}, {}, {event("c", 1)}},
			replies{"?", "a", "b", "?", "c"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFake(fairlead.Limits{})
			f.next = func(context.Context) ([]kvdriver.Event, error) { return pop(&c.driver) }
			w := &watcher{Watcher: fakeWatcher{f}}
			var got replies
			for range c.want {
				events, err := w.next(t.Context())
				got = append(got, named(events, err, func(e kvdriver.Event) string { return string(e.Revision) }))
			}
			if !reflect.DeepEqual(got, c.want) || len(c.driver) > 0 {
				t.Errorf("the replies are %q, want %q; the driver has %d more", got, c.want, len(c.driver))
			}
		})
	}
}

func event(revision string, size int) kvdriver.Event {
	return kvdriver.Event{Kind: kvdriver.PutEvent, Value: mib(size), Revision: kvdriver.Revision(revision)}
}

var errPassing = errors.New("passing")

// pop takes the first of all. It is an error if that is empty, or not there.
func pop[T any](all *[][]T) ([]T, error) {
	if len(*all) == 0 {
		return nil, errPassing
	}
	first := (*all)[0]
	if *all = (*all)[1:]; len(first) == 0 {
		return nil, errPassing
	}
	return first, nil
}

func named[T any](all []T, err error, name func(T) string) string {
	if err != nil {
		return "?"
	}
	var names strings.Builder
	for _, one := range all {
		names.WriteString(name(one))
	}
	return names.String()
}

// TestSubscriptionKeepsTheRest shows that messages without room come with the
// next replies, and that no reply has more than its own limit allows.
func TestSubscriptionKeepsTheRest(t *testing.T) {
	f := newFake(fairlead.Limits{})
	left := [][]psdriver.Delivery{
		{delivery("a", 100), delivery("b", 100), delivery("c", 100), delivery("d", 10), delivery("e", 200), delivery("f", 100)},
		{}, {delivery("g", 1)},
	}
	var asked []int
	f.receive = func(_ context.Context, limit int) ([]psdriver.Delivery, error) {
		asked = append(asked, limit)
		return pop(&left)
	}
	s := &subscription{Subscription: fakeSubscription{f}}
	for _, c := range []struct {
		limit int
		want  string
	}{
		{6, "ab"},  // there is no room for more
		{1, "c"},   // a smaller limit
		{10, "de"}, // a greater one, and no room for more
		{10, "f"},  // what is left; nothing is added to it
		{7, "?"},
		{8, "g"},
	} {
		ds, err := s.receive(t.Context(), c.limit)
		if got := named(ds, err, func(d psdriver.Delivery) string { return d.ID }); got != c.want {
			t.Errorf("with the limit %d %q comes, want %q", c.limit, got, c.want)
		}
	}
	if want := []int{6, 7, 8}; !slices.Equal(asked, want) {
		t.Errorf("the driver was asked for %v, want %v", asked, want)
	}
}

func delivery(id string, size int) psdriver.Delivery {
	return psdriver.Delivery{ID: id, Body: mib(size)}
}

// TestAllOfAMessageCounts shows that no part of a message is left out of its
// size: bodies may be the smallest part.
func TestAllOfAMessageCounts(t *testing.T) {
	d := psdriver.Delivery{ID: "1", Key: "22", Body: []byte("333"), Metadata: map[string]string{"4444": "55555"}}
	if got := sizeOf(d); got != 15 {
		t.Errorf("its size is %d, want 15", got)
	}
}
