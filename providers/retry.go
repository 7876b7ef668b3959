package providers

import (
	"context"
	"time"

	"fairlead.dev"
)

// Patience says how long [Retry] tries again while the backend cannot be
// reached. The zero value is the time that the driver packages require of watchers:
// a second.
type Patience struct {
	// Limit is how long failures in a row are retried, counted from the first
	// of them. 0 means one second.
	Limit time.Duration
	// Pause is the pause after the first failure in a row. It doubles with each
	// further one, up to MaxPause. 0 and less mean 50 ms, and 200 ms.
	Pause, MaxPause time.Duration
	// Retries reports whether an error may pass. Nil means those with the code
	// Unavailable.
	Retries func(error) bool
}

func (p Patience) withDefaults() Patience {
	if p.Limit == 0 {
		p.Limit = time.Second
	}
	if p.Pause <= 0 {
		p.Pause = 50 * time.Millisecond
	}
	if p.MaxPause <= 0 {
		p.MaxPause = 200 * time.Millisecond
	}
	p.MaxPause = max(p.Pause, p.MaxPause)
	if p.Retries == nil {
		p.Retries = func(err error) bool { return fairlead.CodeOf(err) == fairlead.Unavailable }
	}
	return p
}

// Retry calls step until it is done, and returns its result. The context of
// step ends with ctx or with life. A step that is not done and has not failed
// is called again at once: it does its own waiting.
//
// A step that fails is called again after a pause if p retries its error, until
// p.Limit has passed since the first failure in a row. Then, and for every other
// error, Retry returns the step's error.
//
// The end of life has precedence over everything: Retry returns [Lifetime.Err],
// and drops a result that the last step had. When ctx has ended, no step is
// begun. The result of a step that is done is returned all the same, so that
// nothing that it has taken is lost. The error of an ended ctx also names the last
// failure of a step, if the backend could not be reached.
func Retry[T any](ctx context.Context, life *Lifetime, p Patience, step func(context.Context) (result T, done bool, err error)) (T, error) {
	var none T
	joined, leave := life.Join(ctx)
	defer leave()
	r := retrying{Patience: p.withDefaults(), life: life, ctx: ctx}
	for {
		if err := r.ended(); err != nil {
			return none, err
		}
		result, done, err := step(joined)
		switch {
		case life.Err() != nil:
			return none, life.Err()
		case err == nil && done:
			return result, nil
		case err == nil:
			r.last = nil
		case fairlead.ContextError(ctx) != nil:
			return none, r.ended()
		case !r.again(err):
			return none, err
		default:
			Pause(joined, r.pause)
		}
	}
}

// retrying is a Retry under way.
type retrying struct {
	Patience
	life  *Lifetime
	ctx   context.Context
	last  error     // of the last step; nil if it did not fail
	since time.Time // when the first failure in a row happened
	pause time.Duration
}

// ended returns why no step may begin.
func (r *retrying) ended() error {
	err := r.life.Check(r.ctx)
	if err == nil || r.last == nil || r.life.Err() != nil {
		return err
	}
	return fairlead.Errorf(fairlead.CodeOf(err), "%s; before, the backend could not be reached: %s", errorText(err), r.last)
}

// again notes a failure, and reports whether to try again after r.pause.
func (r *retrying) again(err error) bool {
	if !r.Retries(err) {
		return false
	}
	now := time.Now()
	if r.last == nil {
		r.since, r.pause = now, r.Pause
	} else {
		r.pause = min(2*r.pause, r.MaxPause)
	}
	r.last = err
	return now.Sub(r.since) < r.Limit
}

const shortestRenewal = 10 * time.Millisecond

// KeepLease calls renew at once, and again when every has passed since it last
// succeeded, until ctx or life ends; it returns why. While renew fails with
// Unavailable it is retried, for a second at most. Other errors end KeepLease. It
// pauses for at least 10 ms.
func KeepLease(ctx context.Context, life *Lifetime, every time.Duration, renew func(context.Context) error) error {
	_, err := Retry(ctx, life, Patience{}, func(ctx context.Context) (none struct{}, done bool, err error) {
		if err := renew(ctx); err != nil {
			return none, false, err
		}
		Pause(ctx, max(every, shortestRenewal))
		return none, false, nil
	})
	return err
}
