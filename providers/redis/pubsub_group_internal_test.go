package redis

import (
	"testing"
	"time"

	"fairlead.dev/pubsub/driver"
)

// A message that was leased for an abandoned Receive is returned by the next one,
// unless its lease has ended: the server then delivers it again.
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
