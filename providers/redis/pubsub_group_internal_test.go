package redis

import (
	"testing"
	"time"

	"fairlead.dev/pubsub/driver"
)

// A message that was leased for a Receive which had given up is handed to the
// next one, unless it comes again by itself.
func TestGroupTakesNoExpiredLease(t *testing.T) {
	now := time.Now()
	s := &groupSubscription{leased: []leasedDelivery{
		{driver.Delivery{ID: "expired"}, now},
		{driver.Delivery{ID: "held"}, now.Add(time.Second)},
	}}
	out, _ := s.takeReady(5, now)
	if len(out) != 1 || out[0].ID != "held" || len(s.leased) != 0 {
		t.Fatalf("%+v, left %+v", out, s.leased)
	}
}
