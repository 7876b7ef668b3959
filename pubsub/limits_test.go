package pubsub_test

import (
	"errors"
	"math"
	"strings"
	"testing"
	"time"

	"fairlead.dev"
	"fairlead.dev/pubsub"
)

const ever = time.Duration(math.MaxInt64)

func TestAckDeadlines(t *testing.T) {
	p := openMemory(t)
	for d, want := range map[time.Duration]fairlead.Code{
		-1: fairlead.Invalid, 0: fairlead.Invalid, 1: fairlead.Invalid, time.Millisecond: 0,
		fairlead.MaxDuration: 0, fairlead.MaxDuration + 1: fairlead.Invalid, ever: fairlead.Invalid,
	} {
		s, err := pubsub.Subscribe(t.Context(), p, "t", pubsub.Group("g"), pubsub.AckDeadline(d))
		if fairlead.CodeOf(err) != want {
			t.Errorf("AckDeadline %v: got %v, want %v", d, err, want)
		}
		if err == nil {
			s.Close(t.Context())
		}
	}
}

func TestNackDelays(t *testing.T) {
	p := openMemory(t)
	sub := subscribe(t, p, "t")
	limit := sub.Describe().Limits.MaxDelay
	for delay, want := range map[time.Duration]fairlead.Code{-1: fairlead.Invalid, 1: 0, limit: 0, limit + 1: fairlead.Invalid, ever: fairlead.Invalid} {
		publish(t, p, pubsub.Message{})
		d, err := sub.Receive(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if err := d.Nack(t.Context(), delay); fairlead.CodeOf(err) != want {
			t.Errorf("a delay of %v: got %v, want %v", delay, err, want)
		}
	}
}

func TestFromTimes(t *testing.T) {
	p := openMemory(t)
	publish(t, p, pubsub.Message{})
	for what, test := range map[string]struct {
		t    time.Time
		want fairlead.Code
	}{
		"the zero time":   {time.Time{}, fairlead.Invalid},
		"before the zero": {time.Unix(math.MinInt64/2, 0), 0},
		"1600":            {time.Date(1600, 1, 1, 0, 0, 0, 0, time.UTC), 0},
		"the epoch":       {time.Unix(0, 0), 0},
		"2262":            {time.Unix(0, math.MaxInt64), fairlead.Invalid},
		"the last year":   {time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC), fairlead.Invalid},
		"the largest":     {time.Unix(math.MaxInt64/2, 0), fairlead.Invalid},
	} {
		s, err := pubsub.Subscribe(t.Context(), p, "t", pubsub.WithoutGroup(), pubsub.FromTime(test.t))
		if fairlead.CodeOf(err) != test.want {
			t.Errorf("%s: got %v, want %v", what, err, test.want)
		}
		if err == nil {
			if _, err := s.Receive(t.Context()); err != nil { // the oldest message
				t.Errorf("%s: %v", what, err)
			}
			s.Close(t.Context())
		}
	}
}

func TestNilOptions(t *testing.T) {
	p := openMemory(t)
	if _, err := pubsub.Open(t.Context(), p, "t", nil); !errors.Is(err, fairlead.Invalid) || !strings.Contains(err.Error(), "option 1") {
		t.Errorf("Open: got %v", err)
	}
	if _, err := pubsub.Subscribe(t.Context(), p, "t", pubsub.Group("g"), nil); !errors.Is(err, fairlead.Invalid) || !strings.Contains(err.Error(), "option 2") {
		t.Errorf("Subscribe: got %v", err)
	}
}

func TestPublishManySizes(t *testing.T) {
	topic := openTopic(t, openMemory(t), "t")
	if results, err := topic.PublishMany(t.Context()); err != nil || len(results) != 0 {
		t.Errorf("no messages: got %d results, %v", len(results), err)
	}
	const many = 200_000
	if results, err := topic.PublishMany(t.Context(), make([]pubsub.Message, many)...); err != nil || len(results) != many {
		t.Errorf("%d messages: got %d results, %v", many, len(results), err)
	}
}
