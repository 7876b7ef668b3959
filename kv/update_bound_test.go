package kv_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"fairlead.dev"
	"fairlead.dev/kv/driver"
)

func refuseWrites(op driver.Op, apply func() driver.Result) driver.Result {
	if !op.Kind.IsWrite() {
		return apply()
	}
	return driver.Result{Err: fairlead.Errorf(fairlead.Conflict, "somebody was faster")}
}

// TestUpdateGivesUp makes every attempt lose: an Update ends after a number of
// attempts, or with its context.
func TestUpdateGivesUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := openScripted(t, refuseWrites)
		if _, err := s.Update(t.Context(), "n", increment); fairlead.CodeOf(err) != fairlead.Conflict {
			t.Errorf("after all attempts: %v", err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
		defer cancel()
		if _, err := s.Update(ctx, "n", increment); fairlead.CodeOf(err) != fairlead.DeadlineExceeded {
			t.Errorf("after the deadline: %v", err)
		}
	})
}
