package config

import (
	"context"
	"time"

	"fairlead.dev"
	"fairlead.dev/config/driver"
)

// maxQuietPeriods bounds, in quiet periods, how long to wait for a source that
// keeps changing.
const maxQuietPeriods = 10

// quietPeriod is what [QuietPeriod] sets. The zero value waits for nothing.
type quietPeriod struct{ length time.Duration }

func (q quietPeriod) isSet() bool { return q.length > 0 }

// awaitQuiet returns the state after which the source did not change for a
// quiet period. It begins with a state that was just read.
func (q quietPeriod) awaitQuiet(ctx context.Context, source driver.Source, state driver.Snapshot) (driver.Snapshot, error) {
	for end := time.Now().Add(maxQuietPeriods * q.length); q.isSet() && time.Now().Before(end); {
		var later driver.Snapshot
		timedOut, err := callWithin(ctx, q.length, func(ctx context.Context) (err error) {
			later, err = source.Next(ctx, state.Version)
			return err
		})
		switch {
		case err == nil:
			state = later
		case timedOut && fairlead.CodeOf(err) != fairlead.Unavailable:
			return state, nil
		default:
			return driver.Snapshot{}, err
		}
	}
	return state, nil
}
