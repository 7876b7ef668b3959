package gocloud

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"slices"
	"sync"
	"time"

	"gocloud.dev/runtimevar"

	"fairlead.dev"
	"fairlead.dev/config/driver"
	"fairlead.dev/providers"
)

// source is a variable of gocloud.dev whose content is a set of settings.
type source struct {
	vars   *Vars
	name   string
	format Format
	v      *runtimevar.Variable
	life   *providers.Lifetime
	done   chan struct{} // closed when watch has ended

	mu      sync.Mutex
	state   driver.Snapshot
	err     error // why state is not known now
	known   bool  // the variable was read for the first time
	changed providers.Signal
}

// OpenSource implements the config driver's Provider.
func (p *provider) OpenSource(ctx context.Context, c driver.SourceConfig) (driver.Source, error) {
	s := &source{vars: p.backend.Vars, name: c.Name, format: p.backend.Vars.Format, life: p.life.Child("source"), done: make(chan struct{})}
	var v *runtimevar.Variable
	err := call(ctx, s.life, func(ctx context.Context) error {
		opened, err := s.vars.OpenVariable(ctx, c.Name)
		if err == nil {
			v = opened
		}
		return err
	})
	if err != nil {
		s.life.End()
		return nil, convertError(unwrapAbandoned(err))
	}
	s.v = v
	go s.watch()
	return s, nil
}

// watch follows the variable until the source is closed.
func (s *source) watch() {
	defer close(s.done)
	defer func() { _ = recoverPanic(s.v.Close) }()
	for s.life.Err() == nil {
		var snap runtimevar.Snapshot
		err := recoverPanic(func() (err error) {
			snap, err = s.v.Watch(s.life.Context())
			return err
		})
		if s.life.Err() != nil {
			return
		}
		s.update(snap, err)
		if errors.Is(err, runtimevar.ErrClosed) || fairlead.CodeOf(err) == fairlead.Internal && errors.As(err, new(*fairlead.Error)) {
			return
		}
	}
}

// update stores the content of the variable, or the error of reading it.
func (s *source) update(snap runtimevar.Snapshot, err error) {
	state, err := s.decodeSnapshot(snap, err)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.state, s.err, s.known = state, err, true
	s.changed.Fire()
}

// decodeSnapshot decodes the settings of the variable.
func (s *source) decodeSnapshot(snap runtimevar.Snapshot, err error) (driver.Snapshot, error) {
	switch {
	case err != nil && s.vars.missing(s.name, err):
		return driver.Snapshot{Version: "absent", Values: map[string]driver.Value{}}, nil
	case err != nil:
		return driver.Snapshot{}, convertWatchError(err)
	}
	text, ok := contentBytes(snap.Value)
	if !ok {
		return driver.Snapshot{}, fairlead.Errorf(fairlead.Internal, "the variable is decoded as %T; add decoder=bytes to its URL", snap.Value)
	}
	values, err := s.format.parseSettings(text)
	if err != nil {
		return driver.Snapshot{}, fairlead.Errorf(fairlead.Internal, "the content of the variable is not valid %s: %w", s.format, err)
	}
	sum := sha256.Sum256(text)
	return driver.Snapshot{Version: hex.EncodeToString(sum[:]), Values: values}, nil
}

// convertWatchError converts an error of watching. Every error may pass:
// runtimevar continues to read.
func convertWatchError(err error) error {
	code := fairlead.CodeOf(convertError(err))
	if code != fairlead.PermissionDenied && code != fairlead.Internal {
		code = fairlead.Unavailable
	}
	return fairlead.Errorf(code, "%w", err)
}

// contentBytes returns the content of a variable, if it is bytes or a string.
func contentBytes(v any) ([]byte, bool) {
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
	for err := s.life.Check(ctx); ; {
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
			return copySnapshot(state), nil
		}
		err = s.life.Wait(ctx, changed, time.Time{})
	}
}

// copySnapshot returns a copy that the caller may modify.
func copySnapshot(state driver.Snapshot) driver.Snapshot {
	values := make(map[string]driver.Value, len(state.Values))
	for key, v := range state.Values {
		values[key] = driver.Value{Data: slices.Clone(v.Data), Version: v.Version}
	}
	return driver.Snapshot{Version: state.Version, Values: values}
}

// Set implements the config driver's Source. It is not claimed.
func (s *source) Set(context.Context, []driver.Change) (string, error) {
	return "", fairlead.Errorf(fairlead.Unsupported, "runtimevar cannot write; write to the backend of the variable")
}

// Close implements the config driver's Source.
func (s *source) Close(ctx context.Context) error {
	s.life.End()
	select {
	case <-s.done:
	case <-ctx.Done():
	}
	return nil
}
