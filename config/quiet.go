package config

import (
	"context"
	"time"

	"fairlead.dev"
)

// quietPeriods is for how many quiet periods a source that goes on changing is
// waited for.
const quietPeriods = 10

// QuietPeriod makes a source that does not claim [Snapshot] wait until it has
// not changed for a while, so that the changes of one Set are seen together if
// whoever made them took less than that from one to the next. It is a help and
// no guarantee: a writer that pauses longer is seen halfway, and so is a
// source that does not rest for ten periods. [Source.Next], and the first
// reading of [Load] and [Watch], take at least that much longer;
// [Source.Snapshot] does not wait.
//
// Where Snapshot is claimed, it does nothing. The period is 1 ms to 1 minute.
func QuietPeriod(d time.Duration) SourceOption {
	return func(s *sourceSettings) error {
		if d < time.Millisecond || d > time.Minute {
			return fairlead.Errorf(fairlead.Invalid, "QuietPeriod is %v; accepted: 1ms to 1m", d)
		}
		s.quiet = d
		return nil
	}
}

// rest returns the state after which the source has not changed for the quiet
// period, beginning with one that was just read.
func (s *Source) rest(ctx context.Context, state State) (State, error) {
	for end := time.Now().Add(quietPeriods * s.quiet); s.quiet > 0 && time.Now().Before(end); {
		later, err := s.within(ctx, state.Version)
		switch {
		case err == nil:
			state = later
		case ctx.Err() != nil:
			return State{}, err
		case fairlead.CodeOf(err) == fairlead.DeadlineExceeded:
			return state, nil
		default:
			return State{}, err
		}
	}
	return state, nil
}

func (s *Source) within(ctx context.Context, version string) (State, error) {
	ctx, cancel := context.WithTimeout(ctx, s.quiet)
	defer cancel()
	return s.driver.Next(ctx, version)
}
