package plugins

import (
	"context"
	"fmt"
	"time"

	"fairlead.dev"
	"fairlead.dev/plugins/internal/process"
	"fairlead.dev/plugins/internal/remote"
)

// openSession opens a session in the running process, or in the next one if that
// process ends meanwhile. If the session is opened again for a provider, a plugin
// that cannot be started is Unavailable, whatever the cause: the cause may be
// removed.
func (s *supervisor) openSession(ctx context.Context, reopening bool, dial func(*process.Process) (*remote.Session, error)) (*remote.Session, error) {
	for {
		p, err := s.awaitProcess(ctx)
		if err != nil && reopening && fairlead.CodeOf(err) != fairlead.Closed {
			err = fairlead.Errorf(fairlead.Unavailable, "%w", err)
		}
		if err != nil {
			return nil, err
		}
		session, err := dial(p)
		if err == nil || ctx.Err() != nil || !hasEnded(p) {
			return session, err
		}
	}
}

// hasEnded reports whether a process to which a call just failed has ended. If it is
// still connected, it has replied.
func hasEnded(p *process.Process) bool {
	if p.Connected() {
		return false
	}
	select {
	case <-p.Exited():
		return true
	case <-time.After(lastWordsTimeout):
		return false
	}
}

// awaitProcess waits for the running process. It fails when the plugin is in a
// crash loop, cannot be started, or is stopped.
func (s *supervisor) awaitProcess(ctx context.Context) (*process.Process, error) {
	for {
		s.mu.Lock()
		p, status, changed := s.running, s.status, s.changed
		s.mu.Unlock()
		switch {
		case p != nil && !hasExited(p):
			return p, nil
		case status.State == Failed:
			return nil, failedError(s.name, status.LastError)
		case status.State == Stopped:
			return nil, fairlead.Errorf(fairlead.Closed, "the plugin %s is closed", s.name)
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return nil, waitError(ctx, s.name, status)
		}
	}
}

func hasExited(p *process.Process) bool {
	select {
	case <-p.Exited():
		return true
	default:
		return false
	}
}

func failedError(name string, err error) error {
	if !isTransient(err) {
		return err
	}
	return fairlead.Errorf(fairlead.Unavailable, "the plugin %s does not stay alive: %w", name, err)
}

func waitError(ctx context.Context, name string, status Status) error {
	err := ctx.Err()
	if status.LastError != nil {
		err = fmt.Errorf("%w; the last error was: %w", err, status.LastError)
	}
	return fairlead.Errorf(fairlead.CodeOf(ctx.Err()), "waiting for the plugin %s: %w", name, err)
}
