package pubsub_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"fairlead.dev"
	"fairlead.dev/pubsub"
	"fairlead.dev/pubsub/driver"
)

func openTopic(t *testing.T, p fairlead.Provider, name string) *pubsub.Topic {
	t.Helper()
	topic, err := pubsub.Open(t.Context(), p, name)
	if err != nil {
		t.Fatal(err)
	}
	return topic
}

// TestPublishManyReportsEachMessage publishes a bad message between two good
// ones: the error stands for the bad one, the results for each.
func TestPublishManyReportsEachMessage(t *testing.T) {
	topic := openTopic(t, openMemory(t), "t")
	results, err := topic.PublishMany(t.Context(), pubsub.Message{ID: "a"}, pubsub.Message{ID: "\xff"}, pubsub.Message{ID: "c"})
	if !errors.Is(err, fairlead.Invalid) || !strings.Contains(err.Error(), "of 3 messages, 2 are stored, 1 are not, and 0 may be") {
		t.Errorf("got the error %v, want Invalid, 1 of 3", err)
	}
	if len(results) != 3 || results[0].Err != nil || results[2].Err != nil {
		t.Fatalf("got the results %+v, want the first and the last message stored", results)
	}
	if r := results[1]; !errors.Is(r.Err, fairlead.Invalid) || r.Receipt != (pubsub.Receipt{}) {
		t.Errorf("got %+v for the bad message, want Invalid without a receipt", r)
	}
	if a, c := results[0].Receipt, results[2].Receipt; a.ID != "a" || c.ID != "c" || a.Position == c.Position {
		t.Errorf("got the receipts %+v and %+v, want the receipts of a and c", a, c)
	}
}

// TestPublishManyWithoutResults shows when PublishMany returns no results.
func TestPublishManyWithoutResults(t *testing.T) {
	topic := openTopic(t, openMemory(t), "t")
	if err := topic.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	results, err := topic.PublishMany(t.Context(), pubsub.Message{}, pubsub.Message{})
	if results != nil || !errors.Is(err, fairlead.Closed) {
		t.Errorf("got %+v, %v, want no results and Closed", results, err)
	}
}

func TestOptionsFailWhenOpening(t *testing.T) {
	p := openMemory(t)
	if _, err := pubsub.Open(t.Context(), p, "t", pubsub.Require(nil)); !errors.Is(err, fairlead.Invalid) {
		t.Errorf("Require(nil): got %v, want Invalid", err)
	}
	for what, opts := range map[string][]pubsub.SubscribeOption{
		"neither Group nor WithoutGroup": {},
		"both Group and WithoutGroup":    {pubsub.Group("g"), pubsub.WithoutGroup()},
		"two starting points":            {pubsub.Group("g"), pubsub.FromStart(), pubsub.FromPosition("1")},
	} {
		if _, err := pubsub.Subscribe(t.Context(), p, "t", opts...); !errors.Is(err, fairlead.Invalid) {
			t.Errorf("%s: got %v, want Invalid", what, err)
		}
	}
}

// TestPublishManySummary: the code of the summary says what repeating the whole call
// would do.
func TestPublishManySummary(t *testing.T) {
	for _, test := range []struct {
		outcomes []fairlead.Code
		code     fairlead.Code
		text     string
	}{
		{[]fairlead.Code{fairlead.UnknownOutcome}, fairlead.UnknownOutcome, "of 1 messages, 0 are stored, 0 are not, and 1 may be"},
		{[]fairlead.Code{fairlead.Unavailable, fairlead.Unavailable}, fairlead.Unavailable, "0 are stored, 2 are not, and 0 may be"},
		{[]fairlead.Code{fairlead.Unavailable, 0}, fairlead.UnknownOutcome, "1 are stored, 1 are not, and 0 may be"},
		{[]fairlead.Code{fairlead.TooLarge, fairlead.UnknownOutcome, 0}, fairlead.UnknownOutcome, "1 are stored, 1 are not, and 1 may be"},
		{[]fairlead.Code{0, fairlead.TooLarge}, fairlead.TooLarge, "1 are stored, 1 are not, and 0 may be"},
	} {
		p := openFake(t)
		p.send = func(_ context.Context, _ string, msgs []driver.Message, _ sendFunc) []driver.SendResult {
			results := make([]driver.SendResult, len(msgs))
			for i, code := range test.outcomes {
				if code != 0 {
					results[i].Err = fairlead.Errorf(code, "of the driver")
				}
			}
			return results
		}
		_, err := openTopic(t, p, "t").PublishMany(t.Context(), make([]pubsub.Message, len(test.outcomes))...)
		if fairlead.CodeOf(err) != test.code || !strings.Contains(err.Error(), test.text) {
			t.Errorf("%v: got %v, want %v, %q", test.outcomes, err, test.code, test.text)
		}
		if test.code == fairlead.UnknownOutcome && errors.Is(err, fairlead.Unavailable) {
			t.Errorf("%v: %v can be taken for Unavailable", test.outcomes, err)
		}
	}
}
