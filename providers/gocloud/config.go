package gocloud

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"slices"
	"sync"

	"gocloud.dev/runtimevar"

	"fairlead.dev"
	"fairlead.dev/config/driver"
	"fairlead.dev/internal/await"
)

// source is a variable of gocloud.dev whose content is a set of settings.
type source struct {
	vars *Vars
	name string
	read Format
	v    *runtimevar.Variable
	life lifetime
	done chan struct{} // closed when watch has ended

	mu      sync.Mutex
	state   driver.Snapshot
	err     error // why there is no state now
	known   bool  // there was a first answer
	changed await.Signal
}

// OpenSource implements the config driver's Provider.
func (p *provider) OpenSource(ctx context.Context, c driver.SourceConfig) (driver.Source, error) {
	s := &source{vars: p.backend.Vars, name: c.Name, read: p.backend.Vars.Format, life: newLifetime(p.life.ctx), done: make(chan struct{})}
	var v *runtimevar.Variable
	err := s.life.call(ctx, func(ctx context.Context) error {
		opened, err := s.vars.OpenVariable(ctx, c.Name)
		if err == nil {
			v = opened
		}
		return err
	})
	if err != nil {
		s.life.end()
		return nil, failed(openFailed(err))
	}
	s.v = v
	go s.watch()
	return s, nil
}

// watch follows the variable until the source is closed.
func (s *source) watch() {
	defer close(s.done)
	defer func() { _ = guard(s.v.Close) }()
	for s.life.ctx.Err() == nil {
		var snap runtimevar.Snapshot
		err := guard(func() (err error) {
			snap, err = s.v.Watch(s.life.ctx)
			return err
		})
		if s.life.ctx.Err() != nil {
			return
		}
		s.take(snap, err)
		if errors.Is(err, runtimevar.ErrClosed) || fairlead.CodeOf(err) == fairlead.Internal && errors.As(err, new(*fairlead.Error)) {
			return
		}
	}
}

// take keeps what the variable holds now, or why that is not known.
func (s *source) take(snap runtimevar.Snapshot, err error) {
	state, err := s.understand(snap, err)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.state, s.err, s.known = state, err, true
	s.changed.Fire()
}

func (s *source) understand(snap runtimevar.Snapshot, err error) (driver.Snapshot, error) {
	switch {
	case err != nil && s.vars.missing(s.name, err):
		return driver.Snapshot{Version: "absent", Values: map[string]driver.Value{}}, nil
	case err != nil:
		return driver.Snapshot{}, unavailable(err)
	}
	text, ok := content(snap.Value)
	if !ok {
		return driver.Snapshot{}, fairlead.Errorf(fairlead.Internal, "the variable is decoded to a %T; open it with decoder=bytes", snap.Value)
	}
	values, err := s.read.values(text)
	if err != nil {
		return driver.Snapshot{}, fairlead.Errorf(fairlead.Internal, "the variable holds what cannot be read as %s: %w", s.read, err)
	}
	sum := sha256.Sum256(text)
	return driver.Snapshot{Version: hex.EncodeToString(sum[:]), Values: values}, nil
}

// unavailable: runtimevar goes on trying, whatever the error.
func unavailable(err error) error {
	code := fairlead.CodeOf(failed(err))
	if code != fairlead.PermissionDenied && code != fairlead.Internal {
		code = fairlead.Unavailable
	}
	return fairlead.Errorf(code, "%w", err)
}

func content(v any) ([]byte, bool) {
	switch v := v.(type) {
	case []byte:
		return v, true
	case string:
		return []byte(v), true
	default:
		return nil, false
	}
}

// Snapshot implements the config driver's Source.
func (s *source) Snapshot(ctx context.Context) (driver.Snapshot, error) { return s.Next(ctx, "") }

// Next implements the config driver's Source.
func (s *source) Next(ctx context.Context, version string) (driver.Snapshot, error) {
	for err := s.life.ready(ctx); ; {
		if err != nil {
			return driver.Snapshot{}, err
		}
		s.mu.Lock()
		state, known, failure, changed := s.state, s.known, s.err, s.changed.Next()
		s.mu.Unlock()
		switch {
		case known && failure != nil:
			return driver.Snapshot{}, failure
		case known && state.Version != version:
			return owned(state), nil
		}
		err = s.life.wait(ctx, changed, noDeadline)
	}
}

// owned returns a copy, which the caller may change.
func owned(state driver.Snapshot) driver.Snapshot {
	values := make(map[string]driver.Value, len(state.Values))
	for key, v := range state.Values {
		values[key] = driver.Value{Data: slices.Clone(v.Data), Version: v.Version}
	}
	return driver.Snapshot{Version: state.Version, Values: values}
}

// Set implements the config driver's Source. It is not claimed.
func (s *source) Set(context.Context, []driver.Change) (string, error) {
	return "", fairlead.Errorf(fairlead.Unsupported, "runtimevar only reads")
}

// Close implements the config driver's Source.
func (s *source) Close(ctx context.Context) error {
	s.life.end()
	select {
	case <-s.done:
	case <-ctx.Done():
	}
	return nil
}
