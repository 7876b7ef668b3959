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
		later, err := q.awaitChange(ctx, source, state.Version)
		switch {
		case err == nil:
			state = later
		case ctx.Err() != nil:
			return driver.Snapshot{}, err
		case fairlead.CodeOf(err) == fairlead.DeadlineExceeded:
			return state, nil
		default:
			return driver.Snapshot{}, err
		}
	}
	return state, nil
}

// awaitChange fails with DeadlineExceeded if nothing changes for a quiet period.
func (q quietPeriod) awaitChange(ctx context.Context, source driver.Source, version string) (driver.Snapshot, error) {
	ctx, cancel := context.WithTimeout(ctx, q.length)
	defer cancel()
	return source.Next(ctx, version)
}
