package suite

import (
	"context"
	"runtime"
	"sync"
	"time"

	"fairlead.dev"
)

// backendTimeout bounds what returns the backend to its normal state when a case
// has ended.
const backendTimeout = 30 * time.Second

// Control returns the control of the backend, for a case that needs it. The case
// cannot run if the control fails, or if the backend does not serve after a start.
// A backend that the case has killed is started when the case ends at the latest.
func (t *T) Control() Backend { return control{t} }

type control struct{ t *T }

// Kill implements [Backend].
func (c control) Kill(ctx context.Context) error {
	if err := c.t.env.Backend.Kill(ctx); err != nil {
		c.t.Block("the backend could not be killed: %v", err)
		return err
	}
	c.t.mu.Lock()
	c.t.kills++
	c.t.down = true
	c.t.mu.Unlock()
	c.t.Cleanup(func(ctx context.Context) error {
		if !c.t.isDown() {
			return nil
		}
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), backendTimeout)
		defer cancel()
		return c.Start(ctx)
	})
	return nil
}

// Start implements [Backend]. It returns when the backend can be opened.
func (c control) Start(ctx context.Context) error {
	err := c.t.env.Backend.Start(ctx)
	c.t.mu.Lock()
	c.t.down = false
	c.t.mu.Unlock()
	if err != nil {
		c.t.Block("the backend could not be started: %v", err)
		return err
	}
	if err := c.t.waitUntilServing(ctx); err != nil {
		c.t.Block("%v after its start, the backend cannot be opened: %v", c.t.Patience(), err)
		return err
	}
	return nil
}

// WaitUntilDown waits until calls fail after a kill. The case cannot run if the
// backend still answers after d: then the kill did not end it.
func (t *T) WaitUntilDown(d time.Duration, fails func() bool) {
	for deadline := time.Now().Add(d); !fails(); {
		if time.Now().After(deadline) || t.ctx.Err() != nil {
			t.Block("the backend still answers %v after it was killed: the kill did not end it", d)
			t.Fatalf("calls do not fail")
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// LookedFor records that the case has looked, after it killed the backend, for n writes
// that had been acknowledged.
func (t *T) LookedFor(n int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.acknowledged += n
}

func (t *T) isDown() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.down
}

// waitUntilServing waits until the backend can be opened. After the patience of the
// run, it returns the error of a backend that is not there, or refuses.
func (t *T) waitUntilServing(ctx context.Context) error {
	for end := time.Now().Add(t.Patience()); ; {
		err := t.tryOpen(ctx)
		if !isAbsence(err) {
			return nil
		}
		if time.Now().After(end) || ctx.Err() != nil {
			return err
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// tryOpen opens the backend once more, and closes it.
func (t *T) tryOpen(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, t.Patience())
	defer cancel()
	p, err := t.env.Open(ctx)
	if err != nil {
		return err
	}
	_ = p.Close(context.WithoutCancel(ctx)) // it was only a look
	return nil
}

// isAbsence reports whether an error of an Open is about the backend, and not about
// the provider: the backend is not there, or refuses this user.
func isAbsence(err error) bool {
	switch fairlead.CodeOf(err) {
	case fairlead.Unavailable, fairlead.PermissionDenied, fairlead.DeadlineExceeded:
		return true
	}
	return false
}

// isRefused reports whether an error of opening something shows that the case cannot
// run: the backend refuses this user, or nobody can open it now.
func (t *T) isRefused(err error) bool {
	switch fairlead.CodeOf(err) {
	case fairlead.PermissionDenied:
		return true
	case fairlead.Unavailable:
		return isAbsence(t.tryOpen(t.ctx))
	}
	return false
}

// Fill fills the backend. The function that it returns gives the backend space
// again; the end of the case does so at the latest. The case cannot run if either
// fails.
func (t *T) Fill() (free func()) {
	release := sync.OnceValue(func() error {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(t.ctx), backendTimeout)
		defer cancel()
		err := t.env.Filler.Free(ctx)
		if err != nil {
			t.Block("the backend could not be given space again: %v", err)
		}
		return err
	})
	t.Cleanup(func(context.Context) error { return release() })
	if err := t.env.Filler.Fill(t.ctx); err != nil {
		t.Block("the backend could not be filled: %v", err)
		t.Must(err)
	}
	return func() { t.Must(release()) }
}

// CheckFilled ends the case, which cannot run, if the backend has taken writes for a
// long time after it was filled: then the fill had no effect.
func (t *T) CheckFilled(since time.Time) {
	if took := time.Since(since); took > 2*t.Patience() {
		t.Block("the fill command returned, and the backend still takes writes after %v; does it reach the same server, and does it fill what this facet uses?", took.Round(time.Millisecond))
		runtime.Goexit()
	}
}

// Operator returns the operator of the backend, for a case that needs it. The case
// cannot run if the operator fails.
func (t *T) Operator() Operator { return operator{t} }

type operator struct{ t *T }

// PurgeTopic implements [Operator].
func (o operator) PurgeTopic(ctx context.Context, topic string) error {
	return o.blockedBy(o.t.env.Operator.PurgeTopic(ctx, topic))
}

// InsertMessage implements [Operator].
func (o operator) InsertMessage(ctx context.Context, topic string) error {
	return o.blockedBy(o.t.env.Operator.InsertMessage(ctx, topic))
}

// ReplaceValue implements [Operator].
func (o operator) ReplaceValue(ctx context.Context, store, key string) error {
	return o.blockedBy(o.t.env.Operator.ReplaceValue(ctx, store, key))
}

func (o operator) blockedBy(err error) error {
	if err != nil {
		o.t.Block("the backend could not be changed by its own tools: %v", err)
	}
	return err
}
