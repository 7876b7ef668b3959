package nats_test

import (
	"slices"
	"testing"
	"time"

	"fairlead.dev/internal/dev/check"
	"fairlead.dev/internal/dev/testbed"
	"fairlead.dev/providers"
	"fairlead.dev/pubsub/driver"
)

// TestCleanRemovesWhatNoFacetLists leaves records of ordering keys, whose topic another
// program has deleted, and streams of others that look like them.
func TestCleanRemovesWhatNoFacetLists(t *testing.T) {
	server := testbed.NATS(t)
	p := open(t, server.URL())
	ps := p.(driver.Provider)
	js := newOperator(t, server).js
	for _, topic := range []string{"users", "gone-a.b"} {
		pub, err := ps.OpenTopic(t.Context(), driver.TopicConfig{Name: topic})
		check.NoError(t, err)
		group, err := ps.OpenSubscription(t.Context(), driver.SubscriptionConfig{Topic: topic, Group: "g", AckDeadline: time.Minute})
		check.NoError(t, err)
		check.NoError(t, pub.Send(t.Context(), []driver.Message{{Key: "k", Body: []byte("m")}})[0].Err)
		_, err = group.Receive(t.Context(), 1) // makes the records
		check.NoError(t, err)
		check.NoError(t, group.Close(t.Context()))
	}
	check.NoError(t, js.DeleteStream(t.Context(), "fairlead-ps-gone-a=b"))
	removed, err := p.(providers.Cleaner).Clean(t.Context(), "gone-")
	check.NoError(t, err)
	if want := []string{"pubsub gone-a.b"}; !slices.Equal(removed, want) {
		t.Errorf("removed %q, want %q", removed, want)
	}
	for _, line := range testbed.Content(t, server) {
		if !slices.Contains([]string{"stream fairlead-ps-users with 1 messages", "consumer fairlead-ps-users g-g", "stream fairlead-psk-users with 1 messages"}, line) {
			t.Errorf("left: %s", line)
		}
	}
}
